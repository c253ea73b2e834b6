/**
 * A job's outbox: the calls that it has to make to other objects. A row is written with the change that caused it and delivered
 * afterwards (platform/delivery.ts). A delivery may be repeated; the receiver makes that harmless.
 */
import type { DeliveryPolicy, DeliveryTable } from "../platform/delivery.ts";
import type { Row } from "../platform/sqlite.ts";
import type { Tx } from "../platform/transaction.ts";

export type OutboxKind = "cancel" | "recall" | "tell";

export const OUTBOX: DeliveryTable = {
  name: "outbox",
  key: ["kind", "target"],
  columns: ["reason"],
  due: "due_at",
  tries: "tries",
};

export const OUTBOX_POLICY: DeliveryPolicy = {
  firstMs: 2_000,
  factor: 2,
  ceilingMs: 60_000,
  leaseMs: 5_000,
  atOnce: 32,
};

export interface OutboxRow extends Row {
  kind: OutboxKind;
  target: string;
  reason: string;
}

/** `due` in ms since the epoch; null: not yet. Replaces a pending call of the same kind to the same target. */
export function enqueue(tx: Tx, kind: OutboxKind, target: string, reason: string, due: number | null): void {
  tx.exec(
    "INSERT OR REPLACE INTO outbox (kind, target, reason, due_at) VALUES (?, ?, ?, ?)",
    kind,
    target,
    reason.slice(0, 500),
    due,
  );
}

/** The job is over: its subscribers are due to be told. */
export function markAllDue(tx: Tx, now: number): void {
  tx.exec("UPDATE outbox SET due_at = ? WHERE kind = 'tell'", now);
}
