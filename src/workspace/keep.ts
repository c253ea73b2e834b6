/**
 * Files that outlive their object: when an instance ends, each file goes to R2 under the instance's prefix, and then its
 * bytes leave the database; the tree with sizes and versions stays, so every call goes on as before. One file is one step,
 * repeatable at any point: it is stored under the same key again, or it is stored already and its row says so. A large file
 * goes in parts, and goes on behind the last one that arrived.
 */
import { MadroxError } from "../platform/errors.ts";
import { inTransaction } from "../platform/transaction.ts";
import { hasUnkept, isKept, markKept } from "./kept-files.ts";
import { keyOf, pathRoom } from "./keys.ts";
import { mediaTypeOf } from "./media.ts";
import { dropBytes, hasFiles, type Node } from "./nodes.ts";
import { allUploads, forgetUpload, type PartUpload, saveUpload, uploadOf } from "./part-uploads.ts";
import type { KeptBytes, ReadBytes } from "./store.ts";

/** Keys that R2 lists or deletes at once. */
const PAGE = 1_000;
/** A part of a large file: R2 takes them from 5 MiB on, all but the last of the same size. Larger files go in parts. */
export const PART_BYTES = 8 * 1024 * 1024;
/** R2's code for an upload that was completed, aborted or forgotten (after 7 days). */
const NO_SUCH_UPLOAD = /\b10024\b/;

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
    return hasUnkept(this.#storage.sql);
  }

  get pathRoom(): number {
    return pathRoom(this.#prefix);
  }

  has(inode: number): boolean {
    return isKept(this.#storage.sql, inode);
  }

  async store(path: string, node: Node, bytes: ReadBytes): Promise<void> {
    if (node.size > PART_BYTES) await this.#sendParts(path, node, bytes);
    else
      await this.#send(bytes(0, node.size), node.size, (body) =>
        this.#bucket.put(keyOf(this.#prefix, path), body, metadataOf(path, node)),
      );
    inTransaction(this.#storage, (tx) => {
      markKept(tx, node.inode, Date.now());
      forgetUpload(tx, node.inode);
      dropBytes(tx, node.inode);
    });
  }

  async #send<T>(
    bytes: ReadableStream<Uint8Array>,
    length: number,
    put: (body: ReadableStream) => Promise<T>,
  ): Promise<T> {
    const { readable, writable } = new FixedLengthStream(length);
    // The pipe fails together with the put that reads from it, which is what is looked at.
    const piped = bytes.pipeTo(writable).catch(() => undefined);
    const sent = await put(readable);
    await piped;
    return sent;
  }

  /** One part after the other; each that arrived is a row's, so a crash costs the part that was under way. */
  async #sendParts(path: string, node: Node, bytes: ReadBytes): Promise<void> {
    const { sql } = this.#storage;
    const sending = await this.#uploadOf(path, node);
    const upload = this.#bucket.resumeMultipartUpload(sending.key, sending.id);
    const parts = [...sending.parts];
    try {
      for (let offset = parts.length * PART_BYTES; offset < node.size; offset += PART_BYTES) {
        const length = Math.min(PART_BYTES, node.size - offset);
        const number = parts.length + 1;
        const { partNumber, etag } = await this.#send(bytes(offset, length), length, (body) =>
          upload.uploadPart(number, body),
        );
        parts.push({ partNumber, etag });
        saveUpload(sql, { ...sending, parts });
      }
      await upload.complete(parts);
    } catch (error) {
      if (!NO_SUCH_UPLOAD.test(String(error))) throw error;
      forgetUpload(sql, node.inode);
      // It may have been completed just before a crash.
      const there = await this.#bucket.head(sending.key);
      if (there?.size !== node.size || there.customMetadata?.version !== String(node.rev)) throw error;
    }
  }

  /** The upload that was begun for this version of the file, or a new one. */
  async #uploadOf(path: string, node: Node): Promise<PartUpload> {
    const { sql } = this.#storage;
    const known = uploadOf(sql, node.inode);
    if (known?.rev === node.rev) return known;
    if (known) await this.#abandon(known);
    const key = keyOf(this.#prefix, path);
    const { uploadId } = await this.#bucket.createMultipartUpload(key, metadataOf(path, node));
    const upload: PartUpload = { inode: node.inode, id: uploadId, key, rev: node.rev, parts: [] };
    saveUpload(sql, upload);
    return upload;
  }

  /** Lets go of the parts that arrived. R2 forgets what it is not told of after 7 days. */
  async #abandon({ key, id }: PartUpload): Promise<void> {
    await this.#bucket
      .resumeMultipartUpload(key, id)
      .abort()
      .catch((error: unknown) => {
        if (!NO_SUCH_UPLOAD.test(String(error))) throw error;
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
    const { sql } = this.#storage;
    for (const upload of hasFiles(sql) ? allUploads(sql) : []) await this.#abandon(upload);
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

function metadataOf(path: string, node: Node): R2MultipartOptions {
  return {
    httpMetadata: { contentType: mediaTypeOf(path) },
    customMetadata: { version: String(node.rev), modified_at: new Date(node.mtime).toISOString() },
  };
}
