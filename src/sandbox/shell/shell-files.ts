/**
 * The workspace as just-bash wants a file system. It is mounted, so paths come with a slash in front and nothing above it.
 * Links and permissions are things that a workspace does not have: links are refused, permissions stay what they are.
 */
import type { FsStat, IFileSystem } from "just-bash/browser";
import { bytesOfLatin1, latin1 } from "../latin1.ts";
import { absolutePath } from "../paths.ts";
import { type FileStatus, type PosixFiles, posixError } from "../posix-files.ts";
import type { ScriptMeter } from "./script-meter.ts";

/** What a call takes on the script's meter: about 40 µs, and a nanosecond for each byte. */
const CALL_UNITS = 2_000;
const BYTES_PER_UNIT = 20;

type Content = string | Uint8Array;
type Encoding = Parameters<IFileSystem["writeFile"]>[2];

export class ShellFiles implements IFileSystem {
  readonly #files: PosixFiles;
  readonly #meter: ScriptMeter;

  constructor(files: PosixFiles, meter: ScriptMeter) {
    this.#files = files;
    this.#meter = meter;
  }

  async readFile(path: string, options?: Parameters<IFileSystem["readFile"]>[1]): Promise<string> {
    const bytes = await this.readFileBuffer(path);
    return isBinary(typeof options === "string" ? options : options?.encoding)
      ? latin1(bytes)
      : new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);
  }

  async readFileBuffer(path: string): Promise<Uint8Array> {
    const bytes = await this.#call(() => this.#files.read(relative(path)));
    this.#meter.count(Math.floor(bytes.byteLength / BYTES_PER_UNIT));
    return bytes;
  }

  async writeFile(path: string, content: Content, options?: Encoding): Promise<void> {
    await this.#call(() => this.#files.write(relative(path), bytesOf(content, options)), content.length);
  }

  async appendFile(path: string, content: Content, options?: Encoding): Promise<void> {
    await this.#call(() => this.#files.append(relative(path), bytesOf(content, options)), content.length);
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#call(() => this.#files.find(relative(path)))) !== null;
  }

  async stat(path: string): Promise<FsStat> {
    const { folder, size, modified } = await this.#status(path);
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
    await this.#call(() => this.#files.makeFolder(relative(path), options?.recursive ?? false));
  }

  async readdir(path: string): Promise<string[]> {
    return (await this.readdirWithFileTypes(path)).map((entry) => entry.name);
  }

  async readdirWithFileTypes(path: string) {
    const entries = await this.#call(() => this.#files.list(relative(path)));
    return entries.map(({ name, folder }) => ({
      name,
      isFile: !folder,
      isDirectory: folder,
      isSymbolicLink: false,
    }));
  }

  async rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void> {
    const { recursive = false, force = false } = options ?? {};
    await this.#call(() => this.#files.remove(relative(path), { recursive, force }));
  }

  async cp(from: string, to: string, options?: { recursive?: boolean }): Promise<void> {
    if (!(await this.#status(from)).folder) return this.writeFile(to, await this.readFileBuffer(from));
    if (!options?.recursive) throw posixError("EISDIR", "is a directory", "cp", from);
    if (`${to}/`.startsWith(`${from}/`)) {
      throw posixError("EINVAL", "a folder can't be copied into itself", "cp", from);
    }
    await this.mkdir(to, { recursive: true });
    for (const name of await this.readdir(from)) await this.cp(`${from}/${name}`, `${to}/${name}`, options);
  }

  async mv(from: string, to: string): Promise<void> {
    await this.#call(() => this.#files.move(relative(from), relative(to)));
  }

  resolvePath(base: string, path: string): string {
    return absolutePath(base, path);
  }

  /** Matching by pattern reads folders instead: a listing of everything can't be had without waiting. */
  getAllPaths(): string[] {
    return [];
  }

  async chmod(path: string): Promise<void> {
    await this.#status(path);
  }

  async utimes(path: string): Promise<void> {
    await this.#status(path);
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
    await this.#status(path);
    return absolutePath("/", path);
  }

  #status(path: string): Promise<FileStatus> {
    return this.#call(() => this.#files.stat(relative(path)));
  }

  /** Every call is work, and a place where others may compute. `bytes`: what it moves. */
  async #call<T>(work: () => Promise<T>, bytes = 0): Promise<T> {
    this.#meter.count(CALL_UNITS + Math.floor(bytes / BYTES_PER_UNIT));
    if (this.#meter.due) await this.#meter.rest();
    try {
      return await work();
    } finally {
      this.#meter.waited();
    }
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
