/** Walking a workspace, in pages that go on where the one before ended. */

import type { FileInfo, Listing, ListQuery } from "../contracts/workspace.ts";
import { MadroxError } from "../platform/errors.ts";
import { fits } from "./glob.ts";
import type { Node } from "./nodes.ts";
import { folderPath } from "./path.ts";

/** What a walk needs to know of a workspace. */
export interface Tree {
  /** What is in a folder by name; `from`: only names from this one on. */
  children(inode: number, from: string): Node[];
  /** What is at a path now. */
  at(path: string): Node | undefined;
  chunks(path: string, node: Node): AsyncGenerator<Uint8Array>;
}

export interface Found {
  path: string;
  node: Node;
}

/**
 * Everything below a folder, each folder before what is in it, in the order of names. `after`: from behind this path on,
 * or, with `inclusive`, from this path itself on.
 */
export function* walk(
  tree: Tree,
  folder: string,
  inode: number,
  after: string | null,
  inclusive = false,
): Generator<Found> {
  const within = folder === "" ? "" : `${folder}/`;
  const [skip = "", ...deeper] = after?.startsWith(within) ? after.slice(within.length).split("/") : [];
  for (const node of tree.children(inode, skip)) {
    if (node.type === "symlink") continue;
    const path = within + node.name;
    const reached = node.name === skip;
    if (!reached || (inclusive && deeper.length === 0)) yield { path, node };
    if (node.type === "dir")
      yield* walk(tree, path, node.inode, reached && deeper.length > 0 ? after : null, inclusive);
  }
}

export function listing(
  tree: Tree,
  query: ListQuery & { inode: number },
  infoOf: (path: string, node: Node) => FileInfo,
): Listing {
  const entries: FileInfo[] = [];
  const within = query.folder === "" ? 0 : query.folder.length + 1;
  for (const { path, node } of found(tree, query)) {
    if (query.pattern !== null && (node.type !== "file" || !fits(query.pattern, path.slice(within)))) continue;
    if (entries.length === query.limit) return { entries, next: entries.at(-1)?.path ?? null };
    entries.push(infoOf(path, node));
  }
  return { entries, next: null };
}

function* found(tree: Tree, query: ListQuery & { inode: number }): Generator<Found> {
  const after = query.cursor === null ? null : cursorPath(query.cursor);
  if (query.recursive) return yield* walk(tree, query.folder, query.inode, after);
  const within = query.folder === "" ? "" : `${query.folder}/`;
  const from = after?.startsWith(within) ? after.slice(within.length) : "";
  for (const node of tree.children(query.inode, from)) {
    if (node.type !== "symlink" && node.name !== from) yield { path: within + node.name, node };
  }
}

/** A cursor is the last path of the page before; one that was made up is refused like any other path. */
export function cursorPath(cursor: string): string {
  try {
    return folderPath(cursor);
  } catch {
    throw new MadroxError("invalid_input", "cursor is none of this tool's: take next_cursor of the page before.", {
      field: "cursor",
    });
  }
}
