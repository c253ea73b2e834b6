/**
 * Files that outlive their object: when an instance ends, each file goes to R2 under the instance's prefix, and then its
 * bytes leave the database; the tree with sizes and versions stays, so every call goes on as before. One file is one step,
 * repeatable at any point: it is stored under the same key again, or it is stored already and its row says so.
 */
import { MadroxError } from "../errors.ts";
import { first } from "../sqlite.ts";
import { keyOf } from "./keys.ts";
import { mediaTypeOf } from "./media.ts";
import { dropBytes, hasFiles, type Node } from "./nodes.ts";
import type { KeptBytes } from "./workspace.ts";

/** Keys that R2 lists or deletes at once. */
const PAGE = 1_000;

export class Keeper implements KeptBytes {
  readonly #storage: DurableObjectStorage;
  readonly #bucket: R2Bucket;
  readonly #prefix: string;

  constructor(storage: DurableObjectStorage, bucket: R2Bucket, prefix: string) {
    this.#storage = storage;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  /** Whether there is a file that is not kept yet. */
  get pending(): boolean {
    const { sql } = this.#storage;
    return (
      hasFiles(sql) &&
      first(
        sql,
        "SELECT 1 AS one FROM vfs_nodes WHERE type = 'file' AND inode NOT IN (SELECT inode FROM kept_file) LIMIT 1",
      ) !== undefined
    );
  }

  has(inode: number): boolean {
    return first(this.#storage.sql, "SELECT 1 AS one FROM kept_file WHERE inode = ?", inode) !== undefined;
  }

  async store(path: string, node: Node, body: ReadableStream<Uint8Array>): Promise<void> {
    const { readable, writable } = new FixedLengthStream(node.size);
    // The pipe fails together with the put that reads from it, which is what is looked at.
    const piped = body.pipeTo(writable).catch(() => undefined);
    await this.#bucket.put(keyOf(this.#prefix, path), readable, {
      httpMetadata: { contentType: mediaTypeOf(path) },
      customMetadata: { version: String(node.rev), modified_at: new Date(node.mtime).toISOString() },
    });
    await piped;
    this.#storage.transactionSync(() => {
      this.#storage.sql.exec("INSERT OR REPLACE INTO kept_file (inode, kept_at) VALUES (?, ?)", node.inode, Date.now());
      dropBytes(this.#storage.sql, node.inode);
    });
  }

  read(inode: number, path: string, offset: number, length: number): Promise<Uint8Array> | null {
    return this.has(inode) ? this.#fetch(path, offset, length) : null;
  }

  async #fetch(path: string, offset: number, length: number): Promise<Uint8Array> {
    const found = await this.#bucket.get(keyOf(this.#prefix, path), { range: { offset, length } });
    if (found) return new Uint8Array(await found.arrayBuffer());
    throw new MadroxError("upstream_error", `The kept file ${path} is no longer in its bucket.`, { path });
  }

  /** Deletes everything under the instance's prefix, and nothing else. Returns how many objects there were. */
  async erase(): Promise<number> {
    let deleted = 0;
    for (;;) {
      const { objects } = await this.#bucket.list({ prefix: this.#prefix, limit: PAGE });
      const keys = objects.map(({ key }) => key).filter((key) => key.startsWith(this.#prefix));
      if (keys.length === 0) return deleted;
      await this.#bucket.delete(keys);
      deleted += keys.length;
    }
  }
}
