/**
 * The workspace as just-bash wants a file system. It is mounted, so paths come with a slash in front and nothing above it.
 * Links and permissions are things that a workspace does not have: links are refused, permissions stay what they are.
 */
import type { FsStat, IFileSystem } from "just-bash/browser";
import { bytesOfLatin1, latin1 } from "../latin1.ts";
import { absolutePath } from "../paths.ts";
import { type PosixFiles, posixError } from "../posix-files.ts";
import type { TimeSlice } from "./time-slice.ts";

type Content = string | Uint8Array;
type Encoding = Parameters<IFileSystem["writeFile"]>[2];

export class ShellFiles implements IFileSystem {
  readonly #files: PosixFiles;
  readonly #slice: TimeSlice;

  constructor(files: PosixFiles, slice: TimeSlice) {
    this.#files = files;
    this.#slice = slice;
  }

  async readFile(path: string, options?: Parameters<IFileSystem["readFile"]>[1]): Promise<string> {
    const bytes = await this.readFileBuffer(path);
    return isBinary(typeof options === "string" ? options : options?.encoding)
      ? latin1(bytes)
      : new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);
  }

  async readFileBuffer(path: string): Promise<Uint8Array> {
    await this.#slice.yieldIfDue();
    return this.#files.read(relative(path));
  }

  async writeFile(path: string, content: Content, options?: Encoding): Promise<void> {
    await this.#slice.yieldIfDue();
    await this.#files.write(relative(path), bytesOf(content, options));
  }

  async appendFile(path: string, content: Content, options?: Encoding): Promise<void> {
    await this.#slice.yieldIfDue();
    await this.#files.append(relative(path), bytesOf(content, options));
  }

  async exists(path: string): Promise<boolean> {
    await this.#slice.yieldIfDue();
    return (await this.#files.find(relative(path))) !== null;
  }

  async stat(path: string): Promise<FsStat> {
    await this.#slice.yieldIfDue();
    const { folder, size, modified } = await this.#files.stat(relative(path));
    return {
      isFile: !folder,
      isDirectory: folder,
      isSymbolicLink: false,
      // Everything may be run: a workspace keeps no permissions.
      mode: 0o755,
      size,
      mtime: modified,
    };
  }

  lstat(path: string): Promise<FsStat> {
    return this.stat(path);
  }

  async mkdir(path: string, options?: { recursive?: boolean }): Promise<void> {
    await this.#slice.yieldIfDue();
    await this.#files.makeFolder(relative(path), options?.recursive ?? false);
  }

  async readdir(path: string): Promise<string[]> {
    await this.#slice.yieldIfDue();
    return (await this.#files.list(relative(path))).map((entry) => entry.name);
  }

  async readdirWithFileTypes(path: string) {
    await this.#slice.yieldIfDue();
    return (await this.#files.list(relative(path))).map(({ name, folder }) => ({
      name,
      isFile: !folder,
      isDirectory: folder,
      isSymbolicLink: false,
    }));
  }

  async rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void> {
    await this.#slice.yieldIfDue();
    await this.#files.remove(relative(path), {
      recursive: options?.recursive ?? false,
      force: options?.force ?? false,
    });
  }

  async cp(from: string, to: string, options?: { recursive?: boolean }): Promise<void> {
    await this.#slice.yieldIfDue();
    if (!(await this.#files.stat(relative(from))).folder) {
      return this.#files.write(relative(to), await this.#files.read(relative(from)));
    }
    if (!options?.recursive) throw posixError("EISDIR", "is a directory", "cp", from);
    if (`${to}/`.startsWith(`${from}/`)) throw posixError("EINVAL", "a folder can't be copied into itself", "cp", from);
    await this.#files.makeFolder(relative(to), true);
    for (const name of await this.readdir(from)) await this.cp(`${from}/${name}`, `${to}/${name}`, options);
  }

  async mv(from: string, to: string): Promise<void> {
    await this.#slice.yieldIfDue();
    await this.#files.move(relative(from), relative(to));
  }

  resolvePath(base: string, path: string): string {
    return absolutePath(base, path);
  }

  /** Matching by pattern reads folders instead: a listing of everything can't be had without waiting. */
  getAllPaths(): string[] {
    return [];
  }

  async chmod(path: string): Promise<void> {
    await this.stat(path);
  }

  async utimes(path: string): Promise<void> {
    await this.stat(path);
  }

  async symlink(_target: string, path: string): Promise<void> {
    throw posixError("EPERM", "a workspace has no links", "symlink", path);
  }

  async link(_existing: string, path: string): Promise<void> {
    throw posixError("EPERM", "a workspace has no links", "link", path);
  }

  async readlink(path: string): Promise<string> {
    throw posixError("EINVAL", "not a link", "readlink", path);
  }

  async realpath(path: string): Promise<string> {
    await this.stat(path);
    return absolutePath("/", path);
  }
}

function relative(path: string): string {
  return absolutePath("/", path).slice(1);
}

function isBinary(encoding: string | null | undefined): boolean {
  return encoding === "binary" || encoding === "latin1";
}

function bytesOf(content: Content, options: Encoding): Uint8Array {
  if (typeof content !== "string") return content;
  const encoding = typeof options === "string" ? options : options?.encoding;
  return isBinary(encoding) ? bytesOfLatin1(content) : new TextEncoder().encode(content);
}
