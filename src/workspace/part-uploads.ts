/**
 * The table `sending_file`: a large file of which parts are in R2, with the parts that arrived, until it is kept. Only this module
 * writes it.
 */
import { first, type Row } from "../platform/sqlite.ts";

export interface PartUpload {
  inode: number;
  /** R2's id of the multipart upload. */
  id: string;
  key: string;
  /** The version of the file that is sent. */
  rev: number;
  parts: readonly R2UploadedPart[];
}

interface UploadRow extends Row {
  inode: number;
  upload_id: string;
  key: string;
  rev: number;
  /** JSON of `R2UploadedPart[]`. */
  parts: string;
}

export function uploadOf(sql: SqlStorage, inode: number): PartUpload | undefined {
  const row = first<UploadRow>(sql, "SELECT * FROM sending_file WHERE inode = ?", inode);
  return row && fromRow(row);
}

export function allUploads(sql: SqlStorage): PartUpload[] {
  return sql.exec<UploadRow>("SELECT * FROM sending_file").toArray().map(fromRow);
}

/** Notes an upload, in place of an earlier one of the same file. */
export function saveUpload(sql: SqlStorage, { inode, id, key, rev, parts }: PartUpload): void {
  sql.exec(
    "INSERT OR REPLACE INTO sending_file (inode, upload_id, key, rev, parts) VALUES (?, ?, ?, ?, ?)",
    inode,
    id,
    key,
    rev,
    JSON.stringify(parts),
  );
}

export function forgetUpload(sql: SqlStorage, inode: number): void {
  sql.exec("DELETE FROM sending_file WHERE inode = ?", inode);
}

function fromRow({ inode, upload_id: id, key, rev, parts }: UploadRow): PartUpload {
  return { inode, id, key, rev, parts: JSON.parse(parts) as R2UploadedPart[] };
}
