/** The table `kept_file`: files (by their inode) whose bytes are in R2, no longer here. Only this module writes it. */
import { first } from "../platform/sqlite.ts";
import type { Tx } from "../platform/transaction.ts";
import { FILE_INODES, hasFiles } from "./nodes.ts";

export function isKept(sql: SqlStorage, inode: number): boolean {
  return first(sql, "SELECT 1 AS one FROM kept_file WHERE inode = ?", inode) !== undefined;
}

/** Whether there is a file whose bytes are only here. */
export function hasUnkept(sql: SqlStorage): boolean {
  const unkept = `SELECT 1 AS one FROM (${FILE_INODES}) WHERE inode NOT IN (SELECT inode FROM kept_file) LIMIT 1`;
  return hasFiles(sql) && first(sql, unkept) !== undefined;
}

/** In the transaction that lets go of its bytes here. */
export function markKept(tx: Tx, inode: number, now: number): void {
  tx.exec("INSERT OR REPLACE INTO kept_file (inode, kept_at) VALUES (?, ?)", inode, now);
}
