/**
 * An instance's files in its own object's database, which no other object can reach. Every change is one transaction: the
 * expected version, the quota and the idempotency key are checked in it. The database tables are made on first use.
 */
import { Workspace as Computer } from "@cloudflare/computer";
import { MadroxError, ok, unwrap } from "../errors.ts";
import { type Idempotency, recall, remember } from "../idempotency.ts";
import {
  type ChangeOptions,
  type Deleted,
  type Edit,
  type Edited,
  type FileInfo,
  type LineRange,
  type Lines,
  type Listing,
  type ListQuery,
  MAX_PIECE_BYTES,
  type Matches,
  type Piece,
  type SearchQuery,
  type Usage,
  type WorkspaceApi,
  type Written,
} from "./api.ts";
import { replace } from "./edit.ts";
import type { ReadBytes } from "./keep.ts";
import { decoded, linesFrom, MAX_EDIT_BYTES } from "./lines.ts";
import { mediaTypeOf } from "./media.ts";
import { childrenOf, forget, type Node, nodeAt, piecesOf, usageOf } from "./nodes.ts";
import { filePath, folderPath } from "./path.ts";
import { type Growth, quotaRefusal, type WorkspaceLimits } from "./quota.ts";
import { search } from "./search.ts";
import { CHUNK_BYTES, inChunks, streamOf } from "./streams.ts";
import { listing, type Tree, walk } from "./tree.ts";
import { zipOf } from "./zip.ts";

/** The user's files are below this folder; an upload is below the other until it is whole. */
const FILES = "/workspace";
const INCOMING = "/incoming";

/** An object has 6 connections, and its alarm is not the only one who wants some. */
const PARALLEL_PUTS = 4;

/** Where the bytes of a file are that the database no longer has; see keep.ts. */
export interface KeptBytes {
  has(inode: number): boolean;
  /** Puts a file where it outlives this object, and lets go of its bytes here. */
  store(path: string, node: Node, bytes: ReadBytes): Promise<void>;
  /** Null for a file whose bytes are here. */
  read(inode: number, path: string, offset: number, length: number): Promise<Uint8Array> | null;
}

export class Workspace implements WorkspaceApi {
  readonly #storage: DurableObjectStorage;
  readonly #limits: WorkspaceLimits;
  readonly #kept: KeptBytes | null;
  #computer: Computer | undefined;
  #usage: { bytes: number; files: number } | undefined;
  #swept = false;

  constructor(storage: DurableObjectStorage, limits: WorkspaceLimits, kept: KeptBytes | null = null) {
    this.#storage = storage;
    this.#limits = limits;
    this.#kept = kept;
  }

  async stat(path: string): Promise<FileInfo> {
    const name = folderPath(path);
    return infoOf(name, this.#existing(name));
  }

  async read(path: string, range: { offset: number; length: number }): Promise<Piece> {
    const name = filePath(path);
    const node = this.#file(name);
    const length = Math.max(0, Math.min(range.length, MAX_PIECE_BYTES, node.size - range.offset));
    const bytes = await this.#range(name, node, range.offset, length);
    return { ...infoOf(name, node), bytes, offset: range.offset };
  }

  async lines(path: string, range: LineRange): Promise<Lines> {
    const name = filePath(path);
    const node = this.#file(name);
    return { ...infoOf(name, node), ...(await linesFrom(name, this.#chunks(name, node), range)) };
  }

  async write(path: string, bytes: Uint8Array, options: ChangeOptions): Promise<Written> {
    const name = filePath(path);
    return this.#change(options.idempotency, () => this.#place(name, bytes, options));
  }

  async upload(path: string, body: ReadableStream<Uint8Array>, options: ChangeOptions): Promise<Written> {
    const name = filePath(path);
    void this.#opened;
    const known = recall<Written>(this.#sql, options.idempotency);
    if (known) {
      await body.cancel();
      return unwrap(known);
    }
    // Said before a large body is taken in, and again when it has come.
    this.#target(name, options);
    const fits = (size: number, staged: number) => {
      const { bytes, files } = this.#held;
      const before = nodeAt(this.#sql, absolute(name));
      const growth = { path: name, size, bytes: size - (before?.size ?? 0), files: before ? 0 : 1 };
      // What is staged counts already, and takes the place of what it replaces.
      this.#admit(growth, { bytes: bytes - staged, files: files - 1 });
    };
    const staged = `${INCOMING}/${crypto.randomUUID()}`;
    this.#opened.provider().createFileSync(staged);
    this.#usage = undefined;
    let size = 0;
    try {
      for await (const chunk of inChunks(body)) {
        fits(size + chunk.byteLength, size);
        this.#opened.provider().writeRangeSync(staged, chunk, size);
        size += chunk.byteLength;
        this.#usage = undefined;
      }
      return this.#change(options.idempotency, () => {
        const before = this.#target(name, options);
        fits(size, size);
        this.#makeParents(name);
        const replaced = before ? piecesOf(this.#sql, before.inode) : [];
        this.#opened.provider().renameSync(staged, absolute(name));
        forget(this.#sql, replaced);
        this.#usage = undefined;
        return { ...infoOf(name, this.#existing(name)), created: !before };
      });
    } finally {
      this.#discard(staged);
    }
  }

  async edit(path: string, edit: Edit, options: ChangeOptions): Promise<Edited> {
    const name = filePath(path);
    return this.#change(options.idempotency, () => {
      const node = this.#file(name);
      assertVersion(name, node, options);
      if (node.size > MAX_EDIT_BYTES) {
        throw new MadroxError(
          "too_large",
          `${name} has ${node.size} bytes, and at most ${MAX_EDIT_BYTES} can be edited in place. Write it anew, or split it.`,
          { size: node.size, limit_bytes: MAX_EDIT_BYTES },
        );
      }
      const text = decoded(name, this.#opened.provider().readRangeSync(absolute(name), 0, node.size));
      const replaced = unwrap(replace(text, edit, name));
      const written = this.#place(name, new TextEncoder().encode(replaced.text), options);
      const { created: _never, ...info } = written;
      return { ...info, replacements: replaced.replacements, line: replaced.line };
    });
  }

  async list(query: ListQuery): Promise<Listing> {
    const folder = folderPath(query.folder);
    const node = this.#existing(folder);
    if (node.type !== "dir") throw otherKind(folder, "a file, not a folder");
    return listing(this.#tree, { ...query, folder, inode: node.inode }, infoOf);
  }

  async search(query: SearchQuery): Promise<Matches> {
    const folder = folderPath(query.folder);
    return search(this.#tree, { ...query, folder }, this.#existing(folder));
  }

  async move(from: string, to: string, options: ChangeOptions & { overwrite: boolean }): Promise<FileInfo> {
    const source = filePath(from);
    const target = filePath(to);
    return this.#change(options.idempotency, () => {
      const node = this.#existing(source);
      assertVersion(source, node, options);
      if (source === target) return infoOf(target, node);
      if (`${target}/`.startsWith(`${source}/`)) {
        throw new MadroxError("conflict", `${source} can't be moved into itself.`, { path: source });
      }
      const there = nodeAt(this.#sql, absolute(target));
      if (there && (there.type === "dir" || node.type === "dir" || !options.overwrite)) {
        const advice = there.type === "file" && node.type === "file" ? "Set overwrite, or choose" : "Choose";
        throw new MadroxError("conflict", `${target} exists. ${advice} another path.`, { path: target });
      }
      this.#makeParents(target);
      const replaced = there ? piecesOf(this.#sql, there.inode) : [];
      this.#opened.provider().renameSync(absolute(source), absolute(target));
      forget(this.#sql, replaced);
      this.#usage = undefined;
      return infoOf(target, this.#existing(target));
    });
  }

  async delete(path: string, options: ChangeOptions & { recursive: boolean }): Promise<Deleted> {
    const name = filePath(path);
    return this.#change(options.idempotency, () => {
      const node = this.#existing(name);
      assertVersion(name, node, options);
      if (node.type === "dir" && !options.recursive && childrenOf(this.#sql, node.inode).length > 0) {
        throw new MadroxError("conflict", `${name} is a folder with files in it. Set recursive to delete them all.`, {
          path: name,
        });
      }
      return this.#remove(absolute(name), node);
    });
  }

  async usage(): Promise<Usage> {
    const { bytes, files, fileBytes } = this.#limits;
    return { ...this.#held, limits: { bytes, files, file_bytes: fileBytes } };
  }

  async open(
    path: string,
    range: { offset: number; length: number } | null,
  ): Promise<FileInfo & { body: ReadableStream<Uint8Array> }> {
    const name = filePath(path);
    const node = this.#file(name);
    const chunks = this.#chunks(name, node, range ?? undefined);
    // The first piece is read at once: a file that is no larger comes whole, whoever writes to it meanwhile.
    return { ...infoOf(name, node), body: streamOf(resumed(await chunks.next(), chunks)) };
  }

  async zip(): Promise<{ body: ReadableStream<Uint8Array> }> {
    return { body: zipOf(this.#tree, this.#existing("")) };
  }

  /** Brings every file to where it outlives this object. Throws when that fails; what is there then stays there. */
  async keep(): Promise<void> {
    const kept = this.#kept;
    if (!kept) return;
    const left = [...walk(this.#tree, "", this.#existing("").inode, null)].filter(
      ({ node }) => node.type === "file" && !kept.has(node.inode),
    );
    const worker = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const { path, node } = next;
        await kept.store(path, node, (offset, length) => streamOf(this.#chunks(path, node, { offset, length })));
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: PARALLEL_PUTS }, worker));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  get #sql(): SqlStorage {
    return this.#storage.sql;
  }

  /** Made on first use: 16 tables, which an instance that never has a file does without. */
  get #opened(): Computer {
    if (this.#computer) return this.#computer;
    const computer = new Computer({ storage: this.#storage });
    this.#computer = computer;
    for (const folder of [FILES, INCOMING]) computer.provider().mkdirSync(folder, { recursive: true });
    // Uploads that an earlier life of this object did not finish.
    const incoming = this.#swept ? undefined : nodeAt(this.#sql, INCOMING);
    this.#swept = true;
    for (const node of incoming ? childrenOf(this.#sql, incoming.inode) : []) this.#discard(`${INCOMING}/${node.name}`);
    return computer;
  }

  get #held(): { bytes: number; files: number } {
    if (!this.#usage) {
      void this.#opened;
      this.#usage = usageOf(this.#sql, ["/", FILES, INCOMING].length);
    }
    return this.#usage;
  }

  get #tree(): Tree {
    return {
      children: (inode, from) => childrenOf(this.#sql, inode, from),
      at: (path) => nodeAt(this.#sql, absolute(path)),
      chunks: (path, node) => this.#chunks(path, node),
    };
  }

  /** One transaction with the idempotency key in it. After an unforeseen failure the library's caches are dropped too. */
  #change<T extends object>(idempotency: Idempotency | undefined, work: () => T): T {
    void this.#opened;
    try {
      return this.#storage.transactionSync(() => {
        const known = recall<T>(this.#sql, idempotency);
        if (known) return unwrap(known);
        return unwrap(remember(this.#sql, idempotency, ok(work()), Date.now()));
      });
    } catch (error) {
      this.#usage = undefined;
      if (!(error instanceof MadroxError)) this.#computer = undefined;
      throw error;
    }
  }

  /** Call inside a change. */
  #place(name: string, bytes: Uint8Array, options: ChangeOptions): Written {
    const before = this.#target(name, options);
    const growth = {
      path: name,
      size: bytes.byteLength,
      bytes: bytes.byteLength - (before?.size ?? 0),
      files: (before ? 0 : 1) + this.#missingParents(name).length,
    };
    this.#admit(growth);
    const { bytes: heldBytes, files: heldFiles } = this.#held;
    const replaced = before ? piecesOf(this.#sql, before.inode) : [];
    this.#makeParents(name);
    this.#opened.provider().writeFileSync(absolute(name), bytes as Buffer);
    forget(this.#sql, replaced);
    this.#usage = { bytes: heldBytes + growth.bytes, files: heldFiles + growth.files };
    return { ...infoOf(name, this.#existing(name)), created: !before };
  }

  /** The file that a change would replace. Throws when that is a folder, or not the version that was expected. */
  #target(name: string, options: ChangeOptions): Node | undefined {
    const node = nodeAt(this.#sql, absolute(name));
    if (node && node.type !== "file") throw otherKind(name, "a folder, not a file");
    assertVersion(name, node, options);
    return node;
  }

  #existing(name: string): Node {
    void this.#opened;
    const node = nodeAt(this.#sql, absolute(name));
    if (node && node.type !== "symlink") return node;
    throw new MadroxError(
      "not_found",
      `There is no ${name || "workspace"} here. List the files to see what there is.`,
      {
        path: name,
      },
    );
  }

  #file(name: string): Node {
    const node = this.#existing(name);
    if (node.type !== "file") throw otherKind(name, "a folder, not a file");
    return node;
  }

  #missingParents(name: string): string[] {
    const segments = name.split("/").slice(0, -1);
    const parents = segments.map((_segment, i) => segments.slice(0, i + 1).join("/"));
    return parents.filter((parent) => {
      const node = nodeAt(this.#sql, absolute(parent));
      if (node && node.type !== "dir") throw otherKind(parent, "a file, so nothing can be in it");
      return !node;
    });
  }

  #makeParents(name: string): void {
    const missing = this.#missingParents(name);
    this.#admit({ path: name, size: 0, bytes: 0, files: missing.length });
    for (const parent of missing) this.#opened.provider().mkdirSync(absolute(parent));
  }

  #admit(growth: Growth, held = this.#held): void {
    const refusal = quotaRefusal(this.#limits, held, growth);
    if (refusal) throw new MadroxError(refusal.code, refusal.message, refusal.details);
  }

  #remove(path: string, node: Node): Deleted {
    const provider = this.#opened.provider();
    const deleted = { files: 0, bytes: 0 };
    const visit = (at: string, found: Node): void => {
      if (found.type === "dir") {
        for (const child of childrenOf(this.#sql, found.inode)) visit(`${at}/${child.name}`, child);
        provider.rmdirSync(at);
        return;
      }
      const pieces = piecesOf(this.#sql, found.inode);
      provider.unlinkSync(at);
      forget(this.#sql, pieces);
      deleted.files += 1;
      deleted.bytes += found.size;
    };
    visit(path, node);
    this.#usage = undefined;
    return deleted;
  }

  #discard(staged: string): void {
    this.#usage = undefined;
    this.#storage.transactionSync(() => {
      const node = nodeAt(this.#sql, staged);
      if (node) this.#remove(staged, node);
    });
  }

  /** A file's bytes in order. Throws `conflict` when the file changed since `node` was read. */
  async *#chunks(name: string, node: Node, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    const end = Math.min(node.size, range ? range.offset + range.length : node.size);
    for (let offset = range?.offset ?? 0; offset < end; offset += CHUNK_BYTES) {
      yield await this.#range(name, node, offset, Math.min(CHUNK_BYTES, end - offset));
    }
  }

  async #range(name: string, node: Node, offset: number, length: number): Promise<Uint8Array> {
    if (length <= 0) return new Uint8Array();
    const current = nodeAt(this.#sql, absolute(name));
    if (current?.rev !== node.rev) {
      throw new MadroxError("conflict", `${name} was changed while it was read. Read it again.`, { path: name });
    }
    const kept = this.#kept?.read(node.inode, name, offset, length);
    return kept ?? new Uint8Array(this.#opened.provider().readRangeSync(absolute(name), offset, length));
  }
}

async function* resumed(
  first: IteratorResult<Uint8Array>,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.done) return;
  try {
    yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

function absolute(name: string): string {
  return name === "" ? FILES : `${FILES}/${name}`;
}

function infoOf(path: string, node: Node): FileInfo {
  return {
    path,
    type: node.type === "dir" ? "folder" : "file",
    size: node.type === "dir" ? 0 : node.size,
    modified_at: new Date(node.mtime).toISOString(),
    version: String(node.rev),
    media_type: node.type === "dir" ? "inode/directory" : mediaTypeOf(path),
  };
}

function otherKind(name: string, what: string): MadroxError {
  return new MadroxError("conflict", `${name || "The workspace"} is ${what}.`, { path: name });
}

/** Throws `conflict`, with the version that is there, unless it is the expected one. */
function assertVersion(path: string, node: Node | undefined, { expected }: ChangeOptions): void {
  const actual = node ? String(node.rev) : "new";
  if (expected === undefined || expected === actual) return;
  const found = node ? `is at version ${actual}` : "does not exist";
  const wanted = expected === "new" ? "a new file" : `version ${expected}`;
  throw new MadroxError(
    "conflict",
    `${path} ${found}, not ${wanted}: somebody changed it. Read it again, and make your change to what is there now.`,
    { path, version: node ? actual : null, expected_version: expected },
  );
}
