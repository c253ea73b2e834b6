/**
 * A workspace as the shell and programs see a file system. Failures carry the codes of POSIX in front, since commands look
 * for them; quotas hold as everywhere.
 */

import { MAX_PIECE_BYTES, type WorkspaceApi } from "../contracts/workspace.ts";
import { MadroxError } from "../platform/errors.ts";

/** A file that is larger than this is not for a shell or a program here: both hold it in memory, and an isolate has 128 MB. */
const MAX_READ_BYTES = 4 * MAX_PIECE_BYTES;

export interface DirectoryEntry {
  name: string;
  folder: boolean;
}

export interface FileStatus {
  folder: boolean;
  /** Bytes. */
  size: number;
  modified: Date;
  version: string;
}

/** Paths are relative to the workspace, `""` is the workspace itself. Failures are thrown as `Error`. */
export class PosixFiles {
  readonly #workspace: WorkspaceApi;

  constructor(workspace: WorkspaceApi) {
    this.#workspace = workspace;
  }

  async stat(path: string): Promise<FileStatus> {
    // The workspace itself has no row until there is something in it.
    if (path === "") return { folder: true, size: 0, modified: new Date(0), version: "" };
    const info = await this.#try("stat", path, () => this.#workspace.stat(path));
    return {
      folder: info.type === "folder",
      size: info.size,
      modified: new Date(info.modified_at),
      version: info.version,
    };
  }

  /** Null where there is nothing. */
  async find(path: string): Promise<FileStatus | null> {
    try {
      return await this.stat(path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw error;
    }
  }

  async read(path: string): Promise<Uint8Array> {
    return this.#try("open", path, async () => {
      const first = await this.#workspace.read(path, { offset: 0, length: MAX_PIECE_BYTES });
      if (first.size > MAX_READ_BYTES) {
        throw posixError(
          "EFBIG",
          `file too large: it has ${first.size} bytes, and at most ${MAX_READ_BYTES} are read here`,
          "open",
          path,
        );
      }
      if (first.bytes.byteLength === first.size) return first.bytes;
      const whole = new Uint8Array(first.size);
      whole.set(first.bytes);
      for (let at = first.bytes.byteLength; at < first.size; ) {
        const piece = await this.#workspace.read(path, { offset: at, length: MAX_PIECE_BYTES });
        if (piece.version !== first.version || piece.bytes.byteLength === 0) {
          throw posixError("EAGAIN", "the file changed while it was read", "open", path);
        }
        whole.set(piece.bytes, at);
        at += piece.bytes.byteLength;
      }
      return whole;
    });
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    await this.#try("open", path, () => this.#workspace.write(path, bytes, {}));
  }

  /** Adds to the end of a file, all or nothing also when somebody else writes at the same time. */
  async append(path: string, bytes: Uint8Array): Promise<void> {
    const before = await this.find(path);
    const there = before ? await this.read(path) : new Uint8Array();
    const whole = new Uint8Array(there.byteLength + bytes.byteLength);
    whole.set(there);
    whole.set(bytes, there.byteLength);
    const expected = before ? before.version : "new";
    await this.#try("open", path, () => this.#workspace.write(path, whole, { expected }));
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    return this.#try("scandir", path, async () => {
      const entries: DirectoryEntry[] = [];
      let cursor: string | null = null;
      do {
        const page = await this.#workspace.list({
          folder: path,
          recursive: false,
          pattern: null,
          limit: 1_000,
          cursor,
        });
        for (const { path: at, type } of page.entries) {
          entries.push({ name: at.slice(at.lastIndexOf("/") + 1), folder: type === "folder" });
        }
        cursor = page.next;
      } while (cursor !== null);
      return entries;
    });
  }

  async makeFolder(path: string, parents: boolean): Promise<void> {
    const there = await this.find(path);
    if (there && parents && there.folder) return;
    if (there) throw posixError("EEXIST", "file already exists", "mkdir", path);
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (!parents) await this.stat(parent);
    await this.#try("mkdir", path, () => this.#workspace.makeFolder(path, {}));
  }

  async remove(path: string, { recursive, force }: { recursive: boolean; force: boolean }): Promise<void> {
    if (path === "") throw posixError("EBUSY", "the workspace itself stays", "rm", path);
    const there = await this.find(path);
    if (!there && force) return;
    if (there?.folder && !recursive && (await this.list(path)).length > 0) {
      throw posixError("ENOTEMPTY", "directory not empty", "rm", path);
    }
    await this.#try("rm", path, () => this.#workspace.delete(path, { recursive }));
  }

  /** As `mv` does it: a file that is there is replaced. */
  async move(from: string, to: string): Promise<void> {
    await this.#try("rename", from, () => this.#workspace.move(from, to, { overwrite: true }));
  }

  async #try<T>(call: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof MadroxError) throw posixOf(error, call, path);
      throw error;
    }
  }
}

export function posixError(code: string, what: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${what}, ${call} '${path}'`), { code });
}

export function codeOf(error: unknown): string | null {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "string" ? code : null;
}

/** What a `conflict` of the workspace is called by the call that met it: another kind of thing is there. */
const CONFLICTS: Readonly<Record<string, string>> = { open: "EISDIR", scandir: "ENOTDIR", mkdir: "EEXIST" };

function posixOf(error: MadroxError, call: string, path: string): Error {
  switch (error.code) {
    case "not_found":
      return posixError("ENOENT", "no such file or directory", call, path);
    case "limit_reached":
    case "too_large":
      return posixError("ENOSPC", `no space left: ${error.message}`, call, path);
    case "invalid_input":
      return posixError("EINVAL", error.message, call, path);
    default:
      return posixError(CONFLICTS[call] ?? "EACCES", error.message, call, path);
  }
}
