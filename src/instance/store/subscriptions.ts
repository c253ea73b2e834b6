/**
 * The table `subscription`: objects that wait for this instance, one row each from when they ask until they have been notified of
 * the end. They are notified when a message is final or a cap pauses its turn, or when the instance has come to rest. They may be
 * notified twice, and look for themselves.
 */
import type { DeliveryPolicy, DeliveryTable } from "../../platform/delivery.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** In the place of a message's number: the instance itself, at rest. */
export const INSTANCE_REST = -1;

export const SUBSCRIPTIONS: DeliveryTable = {
  name: "subscription",
  key: ["n", "subscriber"],
  columns: [],
  due: "due_at",
  tries: "tries",
};

export const SUBSCRIPTION_POLICY: DeliveryPolicy = {
  firstMs: 1_000,
  factor: 2,
  ceilingMs: 60_000,
  leaseMs: 5_000,
  atOnce: 32,
};

export interface SubscriptionRow extends Row {
  /** A message's number, or `INSTANCE_REST`. */
  n: number;
  subscriber: string;
}

/** `subscriber` is notified of message `n` from now on, until its end. Repeating it changes nothing. */
export function subscribe(sql: SqlStorage, n: number, subscriber: string): void {
  sql.exec("INSERT OR IGNORE INTO subscription (n, subscriber) VALUES (?, ?)", n, subscriber);
}

/** The transaction makes something of message `n` that its subscribers wait for. */
export function markDue(tx: Tx, n: number, now: number): void {
  tx.exec("UPDATE subscription SET due_at = ?, tries = 0 WHERE n = ?", now, n);
}

/** Subscribers to the instance's rest are to be notified, if it is at rest. */
export function markRestDue(tx: Tx, now: number): void {
  tx.exec(
    `UPDATE subscription SET due_at = ?, tries = 0
     WHERE n = ? AND EXISTS (SELECT 1 FROM instance WHERE open_n IS NULL AND (queued = 0 OR lifecycle <> 'active'))`,
    now,
    INSTANCE_REST,
  );
}

/** A cap has paused the turn: subscribers to the instance's rest are notified, since waiting does not raise the cap. */
export function markPauseDue(tx: Tx, now: number): void {
  tx.exec("UPDATE subscription SET due_at = ?, tries = 0 WHERE n = ?", now, INSTANCE_REST);
}

/** A subscriber has taken its notification. `last`: nothing follows it. */
export function setNotified(tx: Tx, { n, subscriber }: SubscriptionRow, last: boolean): void {
  const change = last ? "DELETE FROM subscription" : "UPDATE subscription SET due_at = NULL, tries = 0";
  tx.exec(`${change} WHERE n = ? AND subscriber = ?`, n, subscriber);
}

/** Whether a notification has yet to be taken. */
export function hasDue(sql: SqlStorage): boolean {
  return first(sql, "SELECT 1 AS one FROM subscription WHERE due_at IS NOT NULL LIMIT 1") !== undefined;
}
