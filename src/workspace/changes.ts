/**
 * What changes a workspace. Every change is one transaction: the expected version, the quota and the idempotency key are
 * checked in it, so that a refusal has changed nothing.
 */
import type { AuditedCall } from "../contracts/audited-call.ts";
import type { Origin } from "../contracts/request-origin.ts";
import type {
  ChangeOptions,
  Deleted,
  Edit,
  Edited,
  FileInfo,
  WorkspaceLimits,
  Written,
} from "../contracts/workspace.ts";
import { MadroxError, ok, unwrap } from "../platform/errors.ts";
import { recall, remember } from "../platform/idempotency.ts";
import { inTransaction, type Tx } from "../platform/transaction.ts";
import { replace } from "./edit.ts";
import { decoded, MAX_EDIT_BYTES } from "./lines.ts";
import { childrenOf, forget, type Node, piecesOf } from "./nodes.ts";
import { filePath } from "./path.ts";
import { type Growth, quotaRefusal } from "./quota.ts";
import { absolute, type FileStore, INCOMING, infoOf, otherKind } from "./store.ts";
import { inChunks } from "./streams.ts";

/** Puts a call on record, in the transaction of what it changes. */
export type AuditCall = (tx: Tx, call: AuditedCall) => void;

export class Changes {
  readonly #store: FileStore;
  readonly #limits: WorkspaceLimits;
  readonly #record: AuditCall;

  constructor(store: FileStore, limits: WorkspaceLimits, record: AuditCall) {
    this.#store = store;
    this.#limits = limits;
    this.#record = record;
  }

  async write(path: string, bytes: Uint8Array, options: ChangeOptions): Promise<Written> {
    const name = filePath(path);
    return this.#change(options, (tx) => this.#place(tx, name, bytes, options));
  }

  async makeFolder(path: string, options: ChangeOptions): Promise<FileInfo> {
    const name = filePath(path);
    return this.#change(options, (tx) => {
      const there = this.#store.at(name);
      if (there && there.type !== "dir") throw otherKind(name, "a file, not a folder");
      if (!there) {
        // It is the parent of whatever will be in it.
        this.#makeParents(tx, `${name}/.`);
        this.#store.recount();
      }
      return infoOf(name, this.#store.existing(name));
    });
  }

  async upload(path: string, body: ReadableStream<Uint8Array>, options: ChangeOptions): Promise<Written> {
    const name = filePath(path);
    const known = recall<Written>(this.#store.sql, options.idempotency);
    // A taken target is told only when the body has come: a client that is still sending does not hear an answer.
    if (known) {
      await body.cancel();
      return unwrap(known);
    }
    const fits = (size: number, staged: number) => {
      const { bytes, files } = this.#store.held;
      const before = this.#store.at(name);
      const growth = { path: name, size, bytes: size - (before?.size ?? 0), files: before ? 0 : 1 };
      // What is staged counts already, and takes the place of what it replaces.
      this.#admit(growth, { bytes: bytes - staged, files: files - 1 });
    };
    const staged = `${INCOMING}/${crypto.randomUUID()}`;
    let begun = false;
    // Not before there is something to keep: a body that fails at once leaves no trace.
    const begin = () => {
      if (begun) return;
      this.#store.provider.createFileSync(staged);
      this.#store.recount();
      begun = true;
    };
    let size = 0;
    try {
      for await (const chunk of inChunks(body)) {
        fits(size + chunk.byteLength, size);
        begin();
        this.#store.provider.writeRangeSync(staged, chunk, size);
        size += chunk.byteLength;
        this.#store.recount();
      }
      begin();
      return this.#change(options, (tx) => {
        const before = this.#target(name, options);
        fits(size, size);
        this.#makeParents(tx, name);
        const replaced = before ? piecesOf(tx, before.inode) : [];
        this.#store.provider.renameSync(staged, absolute(name));
        forget(tx, replaced);
        this.#store.recount();
        return { ...infoOf(name, this.#store.existing(name)), created: !before };
      });
    } finally {
      if (begun) this.#store.discard(staged);
    }
  }

  async edit(path: string, edit: Edit, options: ChangeOptions): Promise<Edited> {
    const name = filePath(path);
    return this.#change(options, (tx) => {
      const node = this.#store.file(name);
      assertVersion(name, node, options);
      if (node.size > MAX_EDIT_BYTES) {
        throw new MadroxError(
          "too_large",
          `${name} has ${node.size} bytes, and at most ${MAX_EDIT_BYTES} can be edited in place. Write it anew, or split it.`,
          { size: node.size, limit_bytes: MAX_EDIT_BYTES },
        );
      }
      const text = decoded(name, this.#store.provider.readRangeSync(absolute(name), 0, node.size));
      const replaced = unwrap(replace(text, edit, name));
      const written = this.#place(tx, name, new TextEncoder().encode(replaced.text), options);
      const { created: _never, ...info } = written;
      return { ...info, replacements: replaced.replacements, line: replaced.line };
    });
  }

  async move(from: string, to: string, options: ChangeOptions & { overwrite: boolean }): Promise<FileInfo> {
    const source = filePath(from);
    const target = filePath(to);
    return this.#change(options, (tx) => {
      const node = this.#store.existing(source);
      assertVersion(source, node, options);
      if (source === target) return infoOf(target, node);
      if (`${target}/`.startsWith(`${source}/`)) {
        throw new MadroxError("conflict", `${source} can't be moved into itself.`, { path: source });
      }
      const there = this.#store.at(target);
      if (there && (there.type === "dir" || node.type === "dir" || !options.overwrite)) {
        const advice = there.type === "file" && node.type === "file" ? "Set overwrite, or choose" : "Choose";
        throw new MadroxError("conflict", `${target} exists. ${advice} another path.`, { path: target });
      }
      this.#makeParents(tx, target);
      const replaced = there ? piecesOf(tx, there.inode) : [];
      this.#store.provider.renameSync(absolute(source), absolute(target));
      forget(tx, replaced);
      this.#store.recount();
      return infoOf(target, this.#store.existing(target));
    });
  }

  async delete(path: string, options: ChangeOptions & { recursive: boolean }): Promise<Deleted> {
    const name = filePath(path);
    return this.#change(options, (tx) => {
      const node = this.#store.existing(name);
      assertVersion(name, node, options);
      if (node.type === "dir" && !options.recursive && childrenOf(tx, node.inode).length > 0) {
        throw new MadroxError("conflict", `${name} is a folder with files in it. Set recursive to delete them all.`, {
          path: name,
        });
      }
      return this.#store.remove(tx, absolute(name), node);
    });
  }

  /** One transaction with the idempotency key and the call's record in it. After an unforeseen failure the library's caches are dropped too. */
  #change<T extends object>({ idempotency, audit }: Origin, work: (tx: Tx) => T): T {
    // The tables are made outside of it: what it undoes must not be them.
    this.#store.open();
    try {
      return inTransaction(this.#store.storage, (tx) => {
        const known = recall<T>(tx, idempotency);
        if (known) return unwrap(known);
        const done = work(tx);
        if (audit) this.#record(tx, audit);
        return unwrap(remember(tx, idempotency, ok(done), Date.now()));
      });
    } catch (error) {
      this.#store.recount();
      if (!(error instanceof MadroxError)) this.#store.reopen();
      throw error;
    }
  }

  /** Writes a whole file. */
  #place(tx: Tx, name: string, bytes: Uint8Array, options: ChangeOptions): Written {
    const before = this.#target(name, options);
    const growth = {
      path: name,
      size: bytes.byteLength,
      bytes: bytes.byteLength - (before?.size ?? 0),
      files: (before ? 0 : 1) + this.#missingParents(name).length,
    };
    this.#admit(growth);
    const { bytes: heldBytes, files: heldFiles } = this.#store.held;
    const replaced = before ? piecesOf(tx, before.inode) : [];
    this.#makeParents(tx, name);
    this.#store.provider.writeFileSync(absolute(name), bytes as Buffer);
    forget(tx, replaced);
    this.#store.recount({ bytes: heldBytes + growth.bytes, files: heldFiles + growth.files });
    return { ...infoOf(name, this.#store.existing(name)), created: !before };
  }

  /** The file that a change would replace. Throws when that is a folder, or not the version that was expected. */
  #target(name: string, options: ChangeOptions): Node | undefined {
    const node = this.#store.at(name);
    if (node && node.type !== "file") throw otherKind(name, "a folder, not a file");
    assertVersion(name, node, options);
    return node;
  }

  #missingParents(name: string): string[] {
    const segments = name.split("/").slice(0, -1);
    const parents = segments.map((_segment, i) => segments.slice(0, i + 1).join("/"));
    return parents.filter((parent) => {
      const node = this.#store.at(parent);
      if (node && node.type !== "dir") throw otherKind(parent, "a file, so nothing can be in it");
      return !node;
    });
  }

  /** Folders are the library's rows: it writes through its own handle, in the transaction that is open. */
  #makeParents(_tx: Tx, name: string): void {
    const missing = this.#missingParents(name);
    this.#admit({ path: name, size: 0, bytes: 0, files: missing.length });
    for (const parent of missing) this.#store.provider.mkdirSync(absolute(parent));
  }

  #admit(growth: Growth, held = this.#store.held): void {
    const { pathRoom } = this.#store;
    const bytes = new TextEncoder().encode(growth.path).length;
    if (bytes > pathRoom) {
      throw new MadroxError(
        "invalid_input",
        `${growth.path.slice(0, 80).toWellFormed()}... has ${bytes} bytes, and below this workspace's prefix a path has at most ${pathRoom}. Take a shorter one.`,
        { field: "path", limit_bytes: pathRoom },
      );
    }
    const refusal = quotaRefusal(this.#limits, held, growth);
    if (refusal) throw new MadroxError(refusal.code, refusal.message, refusal.details);
  }
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
