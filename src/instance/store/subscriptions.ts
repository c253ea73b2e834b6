/**
 * Objects that wait for this instance: a row from when they ask until they have heard. They are told when a message is final
 * or a cap pauses its turn, or when the instance has come to rest; tried again by alarm until they have taken it. They may be
 * told twice, and look for themselves.
 */

import type { News, Watcher } from "../../contracts/instance.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** In the place of a message's number: the instance itself, at rest. */
export const AT_REST = -1;

/** First retry after this time, doubled with each further one, up to the ceiling. */
const RETRY_MS = 1_000;
const RETRY_CEILING_MS = 60_000;
/** Deliveries under way at once. */
const BATCH = 32;

/** `watcher` hears of message `n` from now on, until it has heard the end. Repeating it changes nothing. */
export function watch(sql: SqlStorage, n: number, watcher: string): void {
  sql.exec("INSERT OR IGNORE INTO subscription (n, subscriber) VALUES (?, ?)", n, watcher);
}

/** There is news of message `n`, which the transaction makes. */
export function ring(tx: Tx, n: number, now: number): void {
  tx.exec("UPDATE subscription SET due_at = ?, tries = 0 WHERE n = ?", now, n);
}

/** Whoever waits for the instance's rest hears of it, if this is one. */
export function ringAtRest(tx: Tx, now: number): void {
  tx.exec(
    `UPDATE subscription SET due_at = ?, tries = 0
     WHERE n = ? AND EXISTS (SELECT 1 FROM instance WHERE open_n IS NULL AND (queued = 0 OR lifecycle <> 'active'))`,
    now,
    AT_REST,
  );
}

/** When the next delivery is due, in ms since the epoch, or null. */
export function nextNews(sql: SqlStorage): number | null {
  return (
    first<{ at: number | null }>(sql, "SELECT MIN(due_at) AS at FROM subscription WHERE due_at IS NOT NULL")?.at ?? null
  );
}

interface WatchRow extends Row {
  n: number;
  subscriber: string;
  due_at: number;
  tries: number;
}

/**
 * Delivers what is due. A watcher that fails is put off and never holds up the others. That it was told is written once
 * `beside` is over as well, which writes something of its own then: the two are one commit. Losing it tells a watcher twice.
 */
export async function tell(
  sql: SqlStorage,
  /** The news of message `n` (or `AT_REST`), and whether more can follow. */
  newsOf: (n: number) => { news: News; last: boolean },
  watcher: (id: string) => Watcher,
  now: () => number,
  beside: Promise<void> = Promise.resolve(),
): Promise<void> {
  for (;;) {
    const rows = sql
      .exec<WatchRow>("SELECT n, subscriber, due_at, tries FROM subscription WHERE due_at <= ? LIMIT ?", now(), BATCH)
      .toArray();
    if (rows.length === 0) return;
    const knocks = rows.map(async (row) => {
      const retryAt = now() + Math.min(RETRY_MS * 2 ** row.tries, RETRY_CEILING_MS);
      sql.exec(
        "UPDATE subscription SET due_at = ?, tries = tries + 1 WHERE n = ? AND subscriber = ?",
        retryAt,
        row.n,
        row.subscriber,
      );
      const { news, last } = newsOf(row.n);
      await watcher(row.subscriber).knock(news);
      return { ...row, retryAt, last };
    });
    const heard = (await Promise.allSettled(knocks)).filter((knock) => knock.status === "fulfilled");
    await beside;
    // What happened meanwhile has set another time, and is told as well.
    for (const { value } of heard) {
      const told = value.last ? "DELETE FROM subscription" : "UPDATE subscription SET due_at = NULL, tries = 0";
      sql.exec(`${told} WHERE n = ? AND subscriber = ? AND due_at = ?`, value.n, value.subscriber, value.retryAt);
    }
  }
}
