/** What a program may do with files: operations by name, arguments and answers as JSON. Bytes travel as text, a character each. */
import { bytesOfLatin1, latin1 } from "../../latin1.ts";
import type { PosixFiles } from "../../posix-files.ts";

/** Paths as the program wrote them. */
export type FileCalls = Pick<
  PosixFiles,
  "read" | "write" | "append" | "list" | "stat" | "makeFolder" | "remove" | "move"
>;

/** Rejects with the failures of `PosixFiles`. */
export async function fileCall(files: FileCalls, operation: string, args: readonly unknown[]): Promise<unknown> {
  const path = String(args[0]);
  const options = (args[1] ?? {}) as { recursive?: boolean; force?: boolean };
  switch (operation) {
    case "read": {
      const bytes = await files.read(path);
      return args[1] === true
        ? new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes)
        : latin1(bytes);
    }
    case "write":
      return files.write(path, bytesOfLatin1(String(args[1])));
    case "append":
      return files.append(path, bytesOfLatin1(String(args[1])));
    case "list":
      return files.list(path);
    case "stat": {
      const { folder, size, modified } = await files.stat(path);
      return { folder, size, modified: modified.getTime() };
    }
    case "makeFolder":
      return files.makeFolder(path, args[1] === true);
    case "remove":
      return files.remove(path, { recursive: options.recursive === true, force: options.force === true });
    case "move":
      return files.move(path, String(args[1]));
    default:
      throw new Error(`${operation} is not known.`);
  }
}
