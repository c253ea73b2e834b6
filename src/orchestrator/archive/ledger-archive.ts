/**
 * Old entries of the ledger leave the Orchestrator for R2 as events do (segments.ts): objects of JSON lines, first written, then
 * forgotten here in one transaction, which also adds what they summed up to. So every balance is still the sum of what is carried
 * forward and of the entries that are here, and of the entries alone, here and there. Each entry is older than some event and
 * smaller than the events beside it, so whenever events are moved is often enough: this has no time of its own.
 */

import type { LedgerLines, Segment } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { deleteEntries } from "../budget/ledger.ts";
import { keyAfter, SEGMENT_CHARACTERS } from "./event-archive.ts";

/** Moves the oldest run of entries from before `cutoff`, one segment of it. Throws when the bucket does not take it: then nothing has changed. */
export async function moveLedger(
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
  const { lines, last } = ledgerLines(sql, oldest.id - 1, upTo, SEGMENT_CHARACTERS);
  if (last === null) return;
  const key = keyAfter(prefix, oldest.id);
  await bucket.put(key, lines, { httpMetadata: { contentType: "application/x-ndjson" } });
  inTransaction(storage, (tx) => {
    carryForward(tx, last);
    tx.exec(
      "INSERT INTO ledger_segment (first_seq, last_seq, key, moved_at) VALUES (?, ?, ?, ?)",
      oldest.id,
      last,
      key,
      now,
    );
    deleteEntries(tx, last);
  });
}

/** What is reserved is what was reserved less what has ended since: below zero where only the end was moved now. */
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

/** The oldest segment that has entries after an id, or null. */
export function ledgerSegmentAfter(sql: SqlStorage, after: number): Segment | null {
  const next = "SELECT key, first_seq, last_seq FROM ledger_segment WHERE last_seq > ? ORDER BY last_seq LIMIT 1";
  return first<Segment & Row>(sql, next, after) ?? null;
}

/** The newest id; 0 when there was never an entry. */
export function ledgerEnd(sql: SqlStorage): number {
  const newest = first<{ id: number }>(sql, "SELECT id FROM ledger ORDER BY id DESC LIMIT 1");
  const moved = "SELECT last_seq AS id FROM ledger_segment ORDER BY last_seq DESC LIMIT 1";
  return newest?.id ?? first<{ id: number }>(sql, moved)?.id ?? 0;
}

/** Entries after an id, oldest first, of what is still in this object, up to `upTo` and about `maxCharacters`. */
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
