/**
 * The ledger archive: old ledger entries move to R2 as events do (event-archive.ts). Their run is written first; then one
 * transaction deletes them and adds their sums to `ledger_carried`. So every balance is still the sum of what is carried and of the
 * entries here, and also of all entries, here and in R2. Each entry is older than some event and smaller than the events beside
 * it, so moving entries whenever events are moved is often enough.
 */

import type { ArchivedRun, LedgerLines } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { deleteEntries } from "../budget/ledger.ts";
import { keyOf, RUN_CHARACTERS } from "./event-archive.ts";

/** Moves the oldest run of entries from before `cutoff`. Throws when the bucket fails; then nothing has changed. */
export async function archiveEntries(
  storage: DurableObjectStorage,
  bucket: R2Bucket,
  prefix: string,
  cutoff: number,
  now: number,
): Promise<void> {
  const { sql } = storage;
  const oldest = first<{ id: number }>(sql, "SELECT id FROM ledger ORDER BY id LIMIT 1");
  const young = first<{ id: number }>(sql, "SELECT id FROM ledger WHERE at > ? ORDER BY id LIMIT 1", cutoff);
  if (!oldest || (young && young.id <= oldest.id)) return;
  const upTo = young ? young.id - 1 : Number.MAX_SAFE_INTEGER;
  const { lines, last } = ledgerLines(sql, oldest.id - 1, upTo, RUN_CHARACTERS);
  if (last === null) return;
  const key = keyOf(prefix, oldest.id);
  await bucket.put(key, lines, { httpMetadata: { contentType: "application/x-ndjson" } });
  inTransaction(storage, (tx) => {
    carryForward(tx, last);
    tx.exec(
      "INSERT INTO archived_entries (first_seq, last_seq, key, moved_at) VALUES (?, ?, ?, ?)",
      oldest.id,
      last,
      key,
      now,
    );
    deleteEntries(tx, last);
  });
}

/** Reserved is what was reserved less what has ended: below zero where only the end of a call is in this run. */
function carryForward(tx: Tx, upTo: number): void {
  tx.exec(
    `INSERT INTO ledger_carried (instance_id, job, settled_nano, unsettled_nano, reserved_nano, fresh, fresh_reserved)
     SELECT instance_id, COALESCE(job, ''), SUM(settled_nano), SUM(IIF(kind = 'unsettled', reserved_nano, 0)),
       SUM(IIF(kind = 'reserve', reserved_nano, -reserved_nano)), SUM(input + output + cache_write_5m + cache_write_1h),
       SUM(IIF(kind = 'reserve', reserved_tokens, -reserved_tokens))
     FROM ledger WHERE id <= ? GROUP BY 1, 2
     ON CONFLICT DO UPDATE SET settled_nano = settled_nano + excluded.settled_nano,
       unsettled_nano = unsettled_nano + excluded.unsettled_nano, reserved_nano = reserved_nano + excluded.reserved_nano,
       fresh = fresh + excluded.fresh, fresh_reserved = fresh_reserved + excluded.fresh_reserved`,
    upTo,
  );
}

/** The oldest archived run that has entries after an id, or null. */
export function archivedEntriesAfter(sql: SqlStorage, after: number): ArchivedRun | null {
  const next = "SELECT key, first_seq, last_seq FROM archived_entries WHERE last_seq > ? ORDER BY last_seq LIMIT 1";
  return first<ArchivedRun & Row>(sql, next, after) ?? null;
}

/** The newest entry's id; 0 when there never was one. */
export function ledgerEnd(sql: SqlStorage): number {
  const newest = first<{ id: number }>(sql, "SELECT id FROM ledger ORDER BY id DESC LIMIT 1");
  const moved = "SELECT last_seq AS id FROM archived_entries ORDER BY last_seq DESC LIMIT 1";
  return newest?.id ?? first<{ id: number }>(sql, moved)?.id ?? 0;
}

/** Entries in this object after an id, oldest first, up to `upTo` and about `maxCharacters`. */
export function ledgerLines(sql: SqlStorage, after: number, upTo: number, maxCharacters: number): LedgerLines {
  let lines = "";
  let last: number | null = null;
  const rows = sql.exec<Row & { id: number; at: number }>(
    "SELECT * FROM ledger WHERE id > ? AND id <= ? ORDER BY id",
    after,
    upTo,
  );
  for (const row of rows) {
    lines += `${JSON.stringify({ ...row, at: new Date(row.at).toISOString() })}\n`;
    last = row.id;
    if (lines.length >= maxCharacters) break;
  }
  return { lines, last };
}
