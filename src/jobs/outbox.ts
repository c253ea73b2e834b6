/**
 * What a job owes to other objects: rows written with the change that caused them, delivered afterwards, tried again by alarm
 * until the other has answered. A delivery may be repeated; who gets it makes that harmless.
 */
import { first, type Row } from "../platform/sqlite.ts";

export type OutboxKind = "cancel" | "recall" | "tell";

/** First retry after this time, doubled with each further one, up to the ceiling. */
const RETRY_MS = 2_000;
const RETRY_CEILING_MS = 60_000;
/** Deliveries under way at once. */
const BATCH = 32;

export interface Owed extends Row {
  kind: OutboxKind;
  target: string;
  reason: string;
  tries: number;
}

/** `due` null: not yet. */
export function owe(sql: SqlStorage, kind: OutboxKind, target: string, reason: string, due: number | null): void {
  sql.exec(
    "INSERT OR IGNORE INTO outbox (kind, target, reason, due_at) VALUES (?, ?, ?, ?)",
    kind,
    target,
    reason.slice(0, 500),
    due,
  );
}

/** The job is over: whoever waits for that is told. */
export function tellAll(sql: SqlStorage, now: number): void {
  sql.exec("UPDATE outbox SET due_at = ? WHERE kind = 'tell'", now);
}

/** When the next delivery is due, in ms since the epoch, or null. */
export function nextDue(sql: SqlStorage): number | null {
  return first<{ at: number | null }>(sql, "SELECT MIN(due_at) AS at FROM outbox WHERE due_at IS NOT NULL")?.at ?? null;
}

/** Delivers what is due. A delivery that throws is put off and never holds up the others. */
export async function deliver(
  sql: SqlStorage,
  run: (owed: Owed) => Promise<void>,
  now: () => number,
  failed: (error: unknown) => void,
): Promise<void> {
  for (;;) {
    const rows = sql
      .exec<Owed>("SELECT kind, target, reason, tries FROM outbox WHERE due_at <= ? LIMIT ?", now(), BATCH)
      .toArray();
    if (rows.length === 0) return;
    for (const row of rows) {
      const wait = Math.min(RETRY_MS * 2 ** Math.min(row.tries, 10), RETRY_CEILING_MS);
      sql.exec(
        "UPDATE outbox SET tries = tries + 1, due_at = ? WHERE kind = ? AND target = ?",
        now() + wait,
        row.kind,
        row.target,
      );
    }
    await Promise.all(
      rows.map(async (row) => {
        try {
          await run(row);
          sql.exec("DELETE FROM outbox WHERE kind = ? AND target = ?", row.kind, row.target);
        } catch (error) {
          failed(error);
        }
      }),
    );
  }
}
