/**
 * The table `event`: what happened, append-only. Live readers follow it, and the registry gets it in reports.
 */
import type { InstanceEvent } from "../../contracts/instance-spec.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** Writes an event down, in the transaction of what happened and after the output rows that belong to it. */
export function emit(tx: Tx, at: number, kind: string, data: InstanceEvent["data"] = {}): void {
  tx.exec(
    `INSERT INTO event (at, kind, data, output_index)
     VALUES (?, ?, ?, COALESCE((SELECT MAX(message_index) FROM output), -1))`,
    at,
    kind,
    JSON.stringify(data),
  );
}

/** The number of the newest event, 0 before the first. */
export function newestEvent(sql: SqlStorage): number {
  return first<{ seq: number | null }>(sql, "SELECT MAX(seq) AS seq FROM event")?.seq ?? 0;
}

/** What the registry has not confirmed, oldest first, `limit` at most. */
export function unreportedEvents(sql: SqlStorage, limit: number): InstanceEvent[] {
  return sql
    .exec<{ seq: number; at: number; kind: string; data: string }>(
      "SELECT seq, at, kind, data FROM event WHERE seq > (SELECT reported_seq FROM instance) ORDER BY seq LIMIT ?",
      limit,
    )
    .toArray()
    .map((row) => ({ seq: row.seq, at: row.at, kind: row.kind, data: JSON.parse(row.data) }));
}

export function hasUnreported(sql: SqlStorage): boolean {
  return first(sql, "SELECT 1 AS one FROM event WHERE seq > (SELECT reported_seq FROM instance) LIMIT 1") !== undefined;
}

export function countUnreported(sql: SqlStorage): number {
  const query = "SELECT COUNT(*) AS n FROM event WHERE seq > (SELECT reported_seq FROM instance)";
  return sql.exec<{ n: number }>(query).one().n;
}
