/**
 * The tree of files as `@cloudflare/computer` 0.8.0 stores it, for what its interface does not offer: a file's revision, a
 * page of a folder, and forgetting the bytes that nothing names any more (0.8.0 keeps every version of every file for ever).
 * The only file that knows its tables; the version is pinned, and a newer one is taken together with a look at this file.
 */
import { first, type Row } from "../platform/sqlite.ts";
import type { Tx } from "../platform/transaction.ts";

export interface Node extends Row {
  inode: number;
  name: string;
  type: "file" | "dir" | "symlink";
  size: number;
  mtime: number;
  rev: number;
}

const ROOT_INODE = 1;
const COLUMNS = "n.inode, d.name, n.type, n.size, n.mtime, n.rev";

/** What an absolute path names; symbolic links are not followed. */
export function nodeAt(sql: SqlStorage, absolute: string): Node | undefined {
  let node: Node | undefined;
  for (const name of absolute.split("/").slice(1)) {
    if (node && node.type !== "dir") return undefined;
    node = first<Node>(
      sql,
      `SELECT ${COLUMNS} FROM vfs_dirents d JOIN vfs_nodes n ON n.inode = d.child_inode WHERE d.parent_inode = ? AND d.name = ?`,
      node?.inode ?? ROOT_INODE,
      name,
    );
    if (!node) return undefined;
  }
  return node;
}

/** What is in a folder, in the order of names. `from`: only names from this one on. */
export function childrenOf(sql: SqlStorage, inode: number, from = ""): Node[] {
  return sql
    .exec<Node>(
      `SELECT ${COLUMNS} FROM vfs_dirents d JOIN vfs_nodes n ON n.inode = d.child_inode
       WHERE d.parent_inode = ? AND d.name >= ? ORDER BY d.name`,
      inode,
      from,
    )
    .toArray();
}

/** Everything there is, the fixed folders left out. */
export function usageOf(sql: SqlStorage, fixedFolders: number): { bytes: number; files: number } {
  const { bytes, files } = sql
    .exec<{ bytes: number; files: number }>("SELECT COALESCE(SUM(size), 0) AS bytes, COUNT(*) AS files FROM vfs_nodes")
    .one();
  return { bytes, files: files - fixedFolders };
}

/** The hashes of a file's pieces: take them before the file changes, for `forget` after it. */
export function piecesOf(sql: SqlStorage, inode: number): ArrayBuffer[] {
  return sql
    .exec<{ hash: ArrayBuffer }>("SELECT DISTINCT hash FROM vfs_chunks WHERE inode = ?", inode)
    .toArray()
    .map((row) => row.hash);
}

/** Forgets pieces that no file names any more, and the library's notes for a synchronisation that we don't have. */
export function forget(tx: Tx, pieces: readonly ArrayBuffer[]): void {
  for (const hash of pieces) {
    if (first(tx, "SELECT 1 AS one FROM vfs_chunks WHERE hash = ? LIMIT 1", hash)) continue;
    tx.exec("DELETE FROM vfs_blob_bytes WHERE hash = ?", hash);
    tx.exec("DELETE FROM vfs_blobs WHERE hash = ?", hash);
  }
  tx.exec("DELETE FROM vfs_manifests");
  tx.exec("DELETE FROM vfs_changes");
}

/** Whether there ever was a file here: the tables are made on first use. */
export function hasFiles(sql: SqlStorage): boolean {
  return first(sql, "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'vfs_nodes'") !== undefined;
}

/** A query: the inodes of all files. */
export const FILE_INODES = "SELECT inode FROM vfs_nodes WHERE type = 'file'";

/** Files and bytes of an object, for an account of what is deleted. */
export function heldBy(sql: SqlStorage): { files: number; bytes: number } {
  if (!hasFiles(sql)) return { files: 0, bytes: 0 };
  return sql
    .exec<{ files: number; bytes: number }>(
      "SELECT COUNT(*) AS files, COALESCE(SUM(size), 0) AS bytes FROM vfs_nodes WHERE type = 'file'",
    )
    .one();
}

/** Lets go of a file's bytes, and keeps its entry. Only for a file whose bytes are elsewhere. */
export function dropBytes(tx: Tx, inode: number): void {
  const pieces = piecesOf(tx, inode);
  tx.exec("DELETE FROM vfs_chunks WHERE inode = ?", inode);
  forget(tx, pieces);
}
