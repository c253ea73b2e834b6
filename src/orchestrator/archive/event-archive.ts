/**
 * The event archive: old events move from the Orchestrator to R2 in runs, as objects of JSON lines in the form of the audit export,
 * so that the hash chain and the export continue across them. A run's row is written in the transaction that deletes its events.
 * A crash before that leaves an object in R2, which the next try overwrites.
 */

import type { ArchivedRun } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { deleteEvents, linesAfter } from "../store/event-log.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** Events become due one by one and are moved together, at most this much later. */
const SLACK_MS = DAY_MS;
/** Approximate characters per run: what one alarm can move without holding up the rest. */
export const RUN_CHARACTERS = 4 * 1024 * 1024;

/** Everything older than this is moved, once anything is. In ms since the epoch. */
export function retentionStart(retentionDays: number, now: number): number {
  return now - retentionDays * DAY_MS;
}

/** The key of the run that begins with this number. `prefix` ends in a slash. */
export function keyOf(prefix: string, first: number): string {
  return `${prefix}${String(first).padStart(15, "0")}.jsonl`;
}

/** When the oldest event is to be moved, in ms since the epoch, or null. Without a bucket nothing is ever due. */
export function nextArchivalDue(sql: SqlStorage, retentionDays: number, bucket: R2Bucket | undefined): number | null {
  if (!bucket) return null;
  const oldest = first<{ at: number }>(sql, "SELECT at FROM event ORDER BY seq LIMIT 1");
  return oldest ? oldest.at + retentionDays * DAY_MS + SLACK_MS : null;
}

/**
 * Moves the oldest run of events from before `cutoff`. `prefix` ends in a slash. Throws when the bucket fails; then nothing has
 * changed.
 */
export async function archiveEvents(
  storage: DurableObjectStorage,
  bucket: R2Bucket,
  prefix: string,
  cutoff: number,
  now: number,
): Promise<void> {
  const { sql } = storage;
  const young = first<{ seq: number }>(sql, "SELECT seq FROM event WHERE at > ? ORDER BY seq LIMIT 1", cutoff);
  const oldest = first<{ seq: number }>(sql, "SELECT seq FROM event ORDER BY seq LIMIT 1");
  if (!oldest || (young && young.seq <= oldest.seq)) return;
  const upTo = young ? young.seq - 1 : Number.MAX_SAFE_INTEGER;
  const { lines, last } = linesAfter(sql, oldest.seq - 1, upTo, RUN_CHARACTERS);
  if (last === null) return;
  const key = keyOf(prefix, oldest.seq);
  await bucket.put(key, lines, { httpMetadata: { contentType: "application/x-ndjson" } });
  inTransaction(storage, (tx) => {
    tx.exec(
      "INSERT INTO archived_events (first_seq, last_seq, last_hash, key, moved_at) VALUES (?, ?, ?, ?, ?)",
      oldest.seq,
      last.seq,
      last.hash,
      key,
      now,
    );
    deleteEvents(tx, last.seq);
  });
}

/** The oldest archived run that has events after a sequence, or null. */
export function archivedEventsAfter(sql: SqlStorage, after: number): ArchivedRun | null {
  return (
    first<ArchivedRun & Row>(
      sql,
      "SELECT key, first_seq, last_seq FROM archived_events WHERE last_seq > ? ORDER BY last_seq LIMIT 1",
      after,
    ) ?? null
  );
}
