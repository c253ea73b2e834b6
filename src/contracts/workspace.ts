/**
 * What a workspace can do, wherever it lives: in this object, or in that of the instance it is shared with. Paths come as
 * they were given and are normalised here and nowhere else. Failures are thrown as `MadroxError`: `not_found`, `conflict`
 * (another kind of thing is there; the version is not the expected one), `limit_reached` and `too_large` (a quota, with its
 * numbers), `invalid_input`.
 */
import type { Origin } from "./request-origin.ts";

/** `version` changes with each change of the file and is never used twice in a workspace. Sizes in bytes, of folders 0. */
export interface FileInfo {
  path: string;
  type: "file" | "folder";
  size: number;
  modified_at: string;
  version: string;
  /** By the name alone. */
  media_type: string;
}

/** What a change expects to find: a version, `new` (nothing), or undefined (whatever is there). */
export type Expected = string | undefined;

export interface ChangeOptions extends Origin {
  expected?: Expected;
}

export interface Piece extends FileInfo {
  bytes: Uint8Array;
  offset: number;
}

export interface LineRange {
  /** From 1. */
  start: number;
  max: number;
  /** Characters of the first line to skip, for one that is longer than an answer. */
  column: number;
}

/** Whole lines, as far as they fit; `next` is where to go on, or null at the end. */
export interface Lines extends FileInfo {
  text: string;
  first: number;
  last: number;
  next: { line: number; column: number } | null;
}

export interface Written extends FileInfo {
  created: boolean;
}

export interface Edit {
  old: string;
  new: string;
  /** Replace every occurrence; otherwise there has to be exactly one. */
  all: boolean;
}

export interface Edited extends FileInfo {
  replacements: number;
  /** The line of the first one. */
  line: number;
}

export interface ListQuery {
  folder: string;
  /** Everything below it, else only what is in it. */
  recursive: boolean;
  /** Only paths that fit, see glob.ts; null: all. */
  pattern: string | null;
  limit: number;
  /** The last path of the page before. */
  cursor: string | null;
}

export interface Listing {
  entries: FileInfo[];
  next: string | null;
}

export interface SearchQuery {
  pattern: string;
  /** In RE2's syntax, else literal. */
  regex: boolean;
  ignoreCase: boolean;
  folder: string;
  /** Only files whose path fits, see glob.ts; null: all. */
  include: string | null;
  /** Lines of context around a match. */
  context: number;
  limit: number;
  cursor: string | null;
}

export interface Match {
  path: string;
  line: number;
  text: string;
  before: string[];
  after: string[];
}

export interface Matches {
  matches: Match[];
  /** Files that were looked through by this call, binary ones left out. */
  files: number;
  /** Where to go on: the limit of matches or of work was reached. Null: everything was looked through. */
  next: string | null;
  /** Where this call stopped: the file, and its last line that was looked through to the end (0: none yet). Null with `next`. */
  searched: { path: string; line: number } | null;
}

export interface Deleted {
  files: number;
  bytes: number;
}

export interface Usage {
  bytes: number;
  /** Files and folders. */
  files: number;
  limits: { bytes: number; files: number; file_bytes: number };
}

export interface WorkspaceApi {
  stat(path: string): Promise<FileInfo>;
  /** At most `MAX_PIECE_BYTES` a call. An offset past the end gives no bytes. */
  read(path: string, range: { offset: number; length: number }): Promise<Piece>;
  /** Refused with `conflict` for a file that is no UTF-8 text. */
  lines(path: string, range: LineRange): Promise<Lines>;
  /** Creates or replaces a file, and the folders above it. */
  write(path: string, bytes: Uint8Array, options: ChangeOptions): Promise<Written>;
  /** The same from a stream, whole or not at all, without holding it in memory. */
  upload(path: string, body: ReadableStream<Uint8Array>, options: ChangeOptions): Promise<Written>;
  edit(path: string, edit: Edit, options: ChangeOptions): Promise<Edited>;
  /** Creates a folder, and those above it. One that is there stays as it is. */
  makeFolder(path: string, options: ChangeOptions): Promise<FileInfo>;
  list(query: ListQuery): Promise<Listing>;
  search(query: SearchQuery): Promise<Matches>;
  /** Moves a file or a folder. Replaces a file only if told to, a folder never. */
  move(from: string, to: string, options: ChangeOptions & { overwrite: boolean }): Promise<FileInfo>;
  /** Deletes a file, or a folder with everything in it if `recursive`. */
  delete(path: string, options: ChangeOptions & { recursive: boolean }): Promise<Deleted>;
  usage(): Promise<Usage>;
  /** The file, or a part of it, as a stream. It breaks off if the file changes meanwhile, never mixing two versions. */
  open(
    path: string,
    range: { offset: number; length: number } | null,
  ): Promise<FileInfo & { body: ReadableStream<Uint8Array> }>;
  /** Every file as it is when its turn comes, as a zip archive. */
  zip(): Promise<{ body: ReadableStream<Uint8Array> }>;
}

/** One `read`: what an answer can carry as base64 in JSON. */
export const MAX_PIECE_BYTES = 4 * 1024 * 1024;

export interface WorkspaceLimits {
  bytes: number;
  /** Files and folders. */
  files: number;
  fileBytes: number;
}
