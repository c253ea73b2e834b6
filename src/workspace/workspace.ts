/**
 * An instance's files in its own object's database, which no other object can reach: how they are read, and the whole of what
 * `WorkspaceApi` promises.
 */
import type {
  ChangeOptions,
  Deleted,
  Edit,
  Edited,
  FileInfo,
  LineRange,
  Lines,
  Listing,
  ListQuery,
  Matches,
  Piece,
  SearchQuery,
  Usage,
  WorkspaceApi,
  WorkspaceLimits,
  Written,
} from "../contracts/workspace.ts";
import { MAX_PIECE_BYTES } from "../contracts/workspace.ts";
import { type AuditCall, Changes } from "./changes.ts";
import { linesFrom } from "./lines.ts";
import { filePath, folderPath } from "./path.ts";
import { search } from "./search.ts";
import { FileStore, infoOf, type KeptBytes, otherKind } from "./store.ts";
import { streamOf } from "./streams.ts";
import { listing, walk } from "./tree.ts";
import { zipOf } from "./zip.ts";

/** An object has 6 connections, and its alarm is not the only one who wants some. */
const PARALLEL_PUTS = 4;

export class Workspace implements WorkspaceApi {
  readonly #store: FileStore;
  readonly #changes: Changes;
  readonly #limits: WorkspaceLimits;
  readonly #kept: KeptBytes | null;

  constructor(
    storage: DurableObjectStorage,
    limits: WorkspaceLimits,
    kept: KeptBytes | null = null,
    record: AuditCall = () => undefined,
  ) {
    this.#store = new FileStore(storage, kept);
    this.#changes = new Changes(this.#store, limits, record);
    this.#limits = limits;
    this.#kept = kept;
  }

  async stat(path: string): Promise<FileInfo> {
    const name = folderPath(path);
    return infoOf(name, this.#store.existing(name));
  }

  async read(path: string, range: { offset: number; length: number }): Promise<Piece> {
    const name = filePath(path);
    const node = this.#store.file(name);
    const length = Math.max(0, Math.min(range.length, MAX_PIECE_BYTES, node.size - range.offset));
    const bytes = await this.#store.range(name, node, range.offset, length);
    return { ...infoOf(name, node), bytes, offset: range.offset };
  }

  async lines(path: string, range: LineRange): Promise<Lines> {
    const name = filePath(path);
    const node = this.#store.file(name);
    return { ...infoOf(name, node), ...(await linesFrom(name, this.#store.chunks(name, node), range)) };
  }

  async list(query: ListQuery): Promise<Listing> {
    const folder = folderPath(query.folder);
    const node = this.#store.existing(folder);
    if (node.type !== "dir") throw otherKind(folder, "a file, not a folder");
    return listing(this.#store.tree, { ...query, folder, inode: node.inode }, infoOf);
  }

  async search(query: SearchQuery): Promise<Matches> {
    const folder = folderPath(query.folder);
    return search(this.#store.tree, { ...query, folder }, this.#store.existing(folder));
  }

  async usage(): Promise<Usage> {
    const { bytes, files, fileBytes } = this.#limits;
    return { ...this.#store.held, limits: { bytes, files, file_bytes: fileBytes } };
  }

  async open(
    path: string,
    range: { offset: number; length: number } | null,
  ): Promise<FileInfo & { body: ReadableStream<Uint8Array> }> {
    const name = filePath(path);
    const node = this.#store.file(name);
    const chunks = this.#store.chunks(name, node, range ?? undefined);
    // The first piece is read at once: a file that is no larger comes whole, whoever writes to it meanwhile.
    return { ...infoOf(name, node), body: streamOf(resumed(await chunks.next(), chunks)) };
  }

  async zip(): Promise<{ body: ReadableStream<Uint8Array> }> {
    return { body: zipOf(this.#store.tree, this.#store.existing("")) };
  }

  /** Brings every file to where it outlives this object. Throws when that fails; what is there then stays there. */
  async keep(): Promise<void> {
    const kept = this.#kept;
    if (!kept) return;
    const left = [...walk(this.#store.tree, "", this.#store.existing("").inode, null)].filter(
      ({ node }) => node.type === "file" && !kept.has(node.inode),
    );
    const worker = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const { path, node } = next;
        await kept.store(path, node, (offset, length) => streamOf(this.#store.chunks(path, node, { offset, length })));
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: PARALLEL_PUTS }, worker));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  async write(path: string, bytes: Uint8Array, options: ChangeOptions): Promise<Written> {
    return this.#changes.write(path, bytes, options);
  }

  async upload(path: string, body: ReadableStream<Uint8Array>, options: ChangeOptions): Promise<Written> {
    return this.#changes.upload(path, body, options);
  }

  async edit(path: string, edit: Edit, options: ChangeOptions): Promise<Edited> {
    return this.#changes.edit(path, edit, options);
  }

  async makeFolder(path: string, options: ChangeOptions): Promise<FileInfo> {
    return this.#changes.makeFolder(path, options);
  }

  async move(from: string, to: string, options: ChangeOptions & { overwrite: boolean }): Promise<FileInfo> {
    return this.#changes.move(from, to, options);
  }

  async delete(path: string, options: ChangeOptions & { recursive: boolean }): Promise<Deleted> {
    return this.#changes.delete(path, options);
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
