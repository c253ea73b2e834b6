/**
 * Old events leave the Orchestrator for R2, in segments: objects of JSON lines, as the audit export has them, so that chain and
 * export go on across the border. A segment's row is written in the transaction that deletes its events; dying before that
 * leaves an object that the next try writes again under the same key.
 */

import type { Segment } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { deleteEvents, linesAfter } from "../store/event-log.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** Events become due one by one, and are moved together: at most this much later. */
const SLACK_MS = DAY_MS;
/** Characters of one segment, about: what one alarm handles without holding up the rest. */
export const SEGMENT_CHARACTERS = 4 * 1024 * 1024;

/** What is older than this is moved, once anything is. */
export function retentionStart(retentionDays: number, now: number): number {
  return now - retentionDays * DAY_MS;
}

/** The object of the segment that begins with this number. `prefix` ends in a slash. */
export function keyAfter(prefix: string, first: number): string {
  return `${prefix}${String(first).padStart(15, "0")}.jsonl`;
}

/** When the oldest event is to be moved, in ms since the epoch, or null. Without a bucket nothing is ever due. */
export function nextSegmentDue(sql: SqlStorage, retentionDays: number, bucket: R2Bucket | undefined): number | null {
  if (!bucket) return null;
  const oldest = first<{ at: number }>(sql, "SELECT at FROM event ORDER BY seq LIMIT 1");
  return oldest ? oldest.at + retentionDays * DAY_MS + SLACK_MS : null;
}

/**
 * Moves the oldest run of events from before `cutoff`, one segment of it.
 * `prefix` ends in a slash. Throws when the bucket does not take it: then nothing has changed.
 */
export async function moveSegment(
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
  const { lines, last } = linesAfter(sql, oldest.seq - 1, upTo, SEGMENT_CHARACTERS);
  if (last === null) return;
  const key = keyAfter(prefix, oldest.seq);
  await bucket.put(key, lines, { httpMetadata: { contentType: "application/x-ndjson" } });
  inTransaction(storage, (tx) => {
    tx.exec(
      "INSERT INTO event_segment (first_seq, last_seq, last_hash, key, moved_at) VALUES (?, ?, ?, ?, ?)",
      oldest.seq,
      last.seq,
      last.hash,
      key,
      now,
    );
    deleteEvents(tx, last.seq);
  });
}

/** The oldest segment that has events after a sequence, or null. */
export function segmentAfter(sql: SqlStorage, after: number): Segment | null {
  return (
    first<Segment & Row>(
      sql,
      "SELECT key, first_seq, last_seq FROM event_segment WHERE last_seq > ? ORDER BY last_seq LIMIT 1",
      after,
    ) ?? null
  );
}
