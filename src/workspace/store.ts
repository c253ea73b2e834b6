/**
 * The files of an object as they are stored: the tree, the bytes and what they take. Everything here is about what is there;
 * what may be changed, and how, is decided in changes.ts. The database tables are made on first use.
 */
import { Workspace as Computer } from "@cloudflare/computer";
import type { Deleted, FileInfo } from "../contracts/workspace.ts";
import { MadroxError } from "../platform/errors.ts";
import { inTransaction, type Tx } from "../platform/transaction.ts";
import { mediaTypeOf } from "./media.ts";
import { childrenOf, forget, type Node, nodeAt, piecesOf, usageOf } from "./nodes.ts";
import { CHUNK_BYTES } from "./streams.ts";
import type { Tree } from "./tree.ts";

/** The user's files are below this folder; an upload is below the other until it is whole. */
const FILES = "/workspace";
export const INCOMING = "/incoming";

/** The bytes of a file from an offset on. */
export type ReadBytes = (offset: number, length: number) => ReadableStream<Uint8Array>;

/** Where the bytes of a file are that the database no longer has; see keep.ts. */
export interface KeptBytes {
  /** Bytes of the longest path that can be kept. */
  readonly pathRoom: number;
  has(inode: number): boolean;
  /** Puts a file where it outlives this object, and lets go of its bytes here. */
  store(path: string, node: Node, bytes: ReadBytes): Promise<void>;
  /** Null for a file whose bytes are here. */
  read(inode: number, path: string, offset: number, length: number): Promise<Uint8Array> | null;
}

export class FileStore {
  readonly storage: DurableObjectStorage;
  readonly #kept: KeptBytes | null;
  #computer: Computer | undefined;
  #usage: { bytes: number; files: number } | undefined;
  #swept = false;

  constructor(storage: DurableObjectStorage, kept: KeptBytes | null) {
    this.storage = storage;
    this.#kept = kept;
  }

  get sql(): SqlStorage {
    return this.storage.sql;
  }

  /** Bytes of the longest path that a file may have, beside what a path may have anyway: its bytes have to be kept under it. */
  get pathRoom(): number {
    return this.#kept?.pathRoom ?? Number.POSITIVE_INFINITY;
  }

  /** Makes the tables, unless there are some. Every other call does that too. */
  open(): void {
    void this.#opened;
  }

  /** What the library writes files with. Its paths are absolute, and `INCOMING` is the place for what is not a file yet. */
  get provider(): ReturnType<Computer["provider"]> {
    return this.#opened.provider();
  }

  /** Made on first use: 16 tables, which an instance that never has a file does without. */
  get #opened(): Computer {
    if (this.#computer) return this.#computer;
    const computer = new Computer({ storage: this.storage });
    this.#computer = computer;
    for (const folder of [FILES, INCOMING]) computer.provider().mkdirSync(folder, { recursive: true });
    // Uploads that an earlier life of this object did not finish.
    const incoming = this.#swept ? undefined : nodeAt(this.sql, INCOMING);
    this.#swept = true;
    for (const node of incoming ? childrenOf(this.sql, incoming.inode) : []) this.discard(`${INCOMING}/${node.name}`);
    return computer;
  }

  /** What the workspace holds, files under way included. */
  get held(): { bytes: number; files: number } {
    if (!this.#usage) {
      void this.#opened;
      this.#usage = usageOf(this.sql, ["/", FILES, INCOMING].length);
    }
    return this.#usage;
  }

  /** What is held has to be counted again, or is known to be this. */
  recount(held?: { bytes: number; files: number }): void {
    this.#usage = held;
  }

  /** After a failure that nobody foresaw: the library's caches may be wrong. */
  reopen(): void {
    this.#computer = undefined;
  }

  get tree(): Tree {
    return {
      children: (inode, from) => childrenOf(this.sql, inode, from),
      at: (path) => nodeAt(this.sql, absolute(path)),
      chunks: (path, node) => this.chunks(path, node),
    };
  }

  /** What is at a normalised path. */
  at(name: string): Node | undefined {
    void this.#opened;
    return nodeAt(this.sql, absolute(name));
  }

  /** The same; throws `not_found` when there is nothing. */
  existing(name: string): Node {
    void this.#opened;
    const node = nodeAt(this.sql, absolute(name));
    if (node && node.type !== "symlink") return node;
    throw new MadroxError(
      "not_found",
      `There is no ${name || "workspace"} here. List the files to see what there is.`,
      {
        path: name,
      },
    );
  }

  /** The same; throws `conflict` when it is a folder. */
  file(name: string): Node {
    const node = this.existing(name);
    if (node.type !== "file") throw otherKind(name, "a folder, not a file");
    return node;
  }

  /** Removes what is at an absolute path, a folder with everything in it. */
  remove(tx: Tx, path: string, node: Node): Deleted {
    const provider = this.#opened.provider();
    const deleted = { files: 0, bytes: 0 };
    const visit = (at: string, found: Node): void => {
      if (found.type === "dir") {
        for (const child of childrenOf(this.sql, found.inode)) visit(`${at}/${child.name}`, child);
        provider.rmdirSync(at);
        return;
      }
      const pieces = piecesOf(this.sql, found.inode);
      provider.unlinkSync(at);
      forget(tx, pieces);
      deleted.files += 1;
      deleted.bytes += found.size;
    };
    visit(path, node);
    this.#usage = undefined;
    return deleted;
  }

  /** Removes an upload that came to nothing, if it is there. */
  discard(staged: string): void {
    this.#usage = undefined;
    inTransaction(this.storage, (tx) => {
      const node = nodeAt(tx, staged);
      if (node) this.remove(tx, staged, node);
    });
  }

  /** A file's bytes in order. Throws `conflict` when the file changed since `node` was read. */
  async *chunks(name: string, node: Node, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    const end = Math.min(node.size, range ? range.offset + range.length : node.size);
    for (let offset = range?.offset ?? 0; offset < end; offset += CHUNK_BYTES) {
      yield await this.range(name, node, offset, Math.min(CHUNK_BYTES, end - offset));
    }
  }

  /** The bytes from an offset on, the same way. */
  async range(name: string, node: Node, offset: number, length: number): Promise<Uint8Array> {
    if (length <= 0) return new Uint8Array();
    const current = nodeAt(this.sql, absolute(name));
    if (current?.rev !== node.rev) {
      throw new MadroxError("conflict", `${name} was changed while it was read. Read it again.`, { path: name });
    }
    const kept = this.#kept?.read(node.inode, name, offset, length);
    return kept ?? new Uint8Array(this.#opened.provider().readRangeSync(absolute(name), offset, length));
  }
}

export function absolute(name: string): string {
  return name === "" ? FILES : `${FILES}/${name}`;
}

export function infoOf(path: string, node: Node): FileInfo {
  return {
    path,
    type: node.type === "dir" ? "folder" : "file",
    size: node.type === "dir" ? 0 : node.size,
    modified_at: new Date(node.mtime).toISOString(),
    version: String(node.rev),
    media_type: node.type === "dir" ? "inode/directory" : mediaTypeOf(path),
  };
}

export function otherKind(name: string, what: string): MadroxError {
  return new MadroxError("conflict", `${name || "The workspace"} is ${what}.`, { path: name });
}
