/**
 * The table `message`: one row per message, from its acceptance on, never deleted. Which states follow which: `MESSAGE_TRANSITIONS`.
 */
import type { MessageState } from "../../contracts/instance.ts";
import type { Failure } from "../../platform/errors.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

export interface NewMessage {
  n: number;
  /** `user`, or the id of the instance that sends. */
  sender: string;
  content: string;
  createdAt: number;
  responseSchema?: Record<string, unknown> | null;
  priority?: number;
  steer?: boolean;
  passive?: boolean;
  idempotency?: { key: string; body_hash: string } | undefined;
  job?: string | null | undefined;
  senderTitle?: string | undefined;
  trace?: string | null | undefined;
}

export function insertMessage(tx: Tx, message: NewMessage): void {
  tx.exec(
    `INSERT INTO message (n, sender, content, response_schema, state, priority, steer, key, body_hash, created_at, job,
       sender_title, passive, trace)
     VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    message.n,
    message.sender,
    message.content,
    message.responseSchema ? JSON.stringify(message.responseSchema) : null,
    message.priority ?? 0,
    message.steer ? 1 : 0,
    message.idempotency?.key ?? null,
    message.idempotency?.body_hash ?? null,
    message.createdAt,
    message.job ?? null,
    message.senderTitle ?? null,
    message.passive ? 1 : 0,
    message.trace ?? null,
  );
}

/** The message that was sent with this idempotency key. */
export function messageByKey(sql: SqlStorage, key: string): { n: number; body_hash: string } | undefined {
  return first<{ n: number; body_hash: string }>(sql, "SELECT n, body_hash FROM message WHERE key = ?", key);
}

/** How many passive messages wait for a turn to be read in. */
export function countPassive(sql: SqlStorage): number {
  return sql
    .exec<{ n: number }>(
      `SELECT COUNT(*) AS n FROM message INDEXED BY message_coalescing
       WHERE state = 'queued' AND (passive = 1 OR steer > 0) AND passive = 1`,
    )
    .one().n;
}

/** The message whose turn is next: highest priority first, then oldest. */
export function nextQueued(sql: SqlStorage): number | null {
  return (
    first<{ n: number }>(
      sql,
      "SELECT n FROM message WHERE state = 'queued' AND passive = 0 ORDER BY priority DESC, n LIMIT 1",
    )?.n ?? null
  );
}

export interface QueuedText {
  content: string;
  sender_title: string | null;
}

/** Undefined when message `n` is not in the queue. */
export function queuedText(sql: SqlStorage, n: number): QueuedText | undefined {
  return first<QueuedText & Record<string, SqlStorageValue>>(
    sql,
    "SELECT content, sender_title FROM message WHERE n = ? AND state = 'queued'",
    n,
  );
}

export interface Coalescable extends QueuedText {
  n: number;
  passive: boolean;
  /** The turn that it went back from; null: it was in none. */
  returned_from: number | null;
}

/** Queued messages that may join turn `n`, oldest first: the passive ones, and with `steering` those that steer. */
export function coalescable(sql: SqlStorage, n: number, steering: boolean): Coalescable[] {
  return sql
    .exec<{ n: number; content: string; sender_title: string | null; passive: number; returned_from: number | null }>(
      // The index names its own condition, or it would not be used: a queue may be long, and few of it join.
      `SELECT n, content, sender_title, passive, returned_from FROM message INDEXED BY message_coalescing
       WHERE state = 'queued' AND (passive = 1 OR steer > 0) AND (passive = 1 OR steer >= ?) AND response_schema IS NULL
         AND returned_from IS NOT ?
       ORDER BY n`,
      steering ? 1 : 2,
      n,
    )
    .toArray()
    .map((row) => ({ ...row, passive: row.passive === 1 }));
}

/** Whether a message is queued that joins the turn behind its tool results. */
export function steeringWaits(sql: SqlStorage): boolean {
  const waiting =
    "SELECT 1 AS one FROM message INDEXED BY message_coalescing WHERE state = 'queued' AND (passive = 1 OR steer > 0) AND passive = 0 AND response_schema IS NULL LIMIT 1";
  return first(sql, waiting) !== undefined;
}

/**
 * Its text is in the transcript now; a passive message keeps it here as well, as it may have to go back. `joined`: the turn that it
 * joins, if that is not its own.
 */
export function setRunning(tx: Tx, n: number, joined: number | null, now: number): void {
  tx.exec(
    "UPDATE message SET state = 'running', content = CASE passive WHEN 1 THEN content END, started_at = ?, joined_n = ? WHERE n = ?",
    now,
    joined,
    n,
  );
}

/** The turn's messages, those that joined it included, are shown as waiting. */
export function showWaiting(tx: Tx, n: number): void {
  tx.exec("UPDATE message SET state = 'waiting' WHERE (n = ? OR joined_n = ?) AND state = 'running'", n, n);
}

/** The turn's messages are shown as running again. */
export function showRunning(tx: Tx, n: number): void {
  tx.exec("UPDATE message SET state = 'running' WHERE (n = ? OR joined_n = ?) AND state = 'waiting'", n, n);
}

export type FinalState = Extract<MessageState, "completed" | "failed" | "cancelled" | "refused">;

/** The final state of the turn's messages. */
export function setFinal(tx: Tx, n: number, state: FinalState, error: Failure | null, now: number): void {
  tx.exec(
    "UPDATE message SET state = ?, finished_at = ?, error = ?, content = NULL WHERE n = ? OR joined_n = ?",
    state,
    now,
    error ? JSON.stringify(error) : null,
    n,
    n,
  );
}

export interface JoinedPassive extends Row {
  n: number;
  /** What it says; null: it went to the transcript in an earlier version. */
  content: string | null;
  returned_from: number | null;
}

/** The passive messages that joined turn `n`. */
export function passiveOfTurn(sql: SqlStorage, n: number): JoinedPassive[] {
  return sql
    .exec<JoinedPassive>(
      "SELECT n, content, returned_from FROM message WHERE joined_n = ? AND passive = 1 ORDER BY n",
      n,
    )
    .toArray();
}

/** A passive message leaves the turn that it joined, and is queued again. */
export function setReturned(tx: Tx, n: number, from: number): void {
  tx.exec(
    "UPDATE message SET state = 'queued', joined_n = NULL, started_at = NULL, returned_from = ? WHERE n = ?",
    from,
    n,
  );
}

/** A passive message leaves the turn that it joined, and has failed or was refused by itself. */
export function setFailedAlone(
  tx: Tx,
  n: number,
  end: { state: "failed" | "refused"; error: Failure },
  now: number,
): void {
  tx.exec(
    "UPDATE message SET state = ?, joined_n = NULL, content = NULL, finished_at = ?, error = ? WHERE n = ?",
    end.state,
    now,
    JSON.stringify(end.error),
    n,
  );
}

/** Takes message `n` out of the queue. Null when it is not in it. */
export function cancelQueued(tx: Tx, n: number, error: Failure, now: number): { passive: boolean } | null {
  const row = first<{ passive: number }>(
    tx,
    "UPDATE message SET state = 'cancelled', finished_at = ?, error = ? WHERE n = ? AND state = 'queued' RETURNING passive",
    now,
    JSON.stringify(error),
    n,
  );
  return row ? { passive: row.passive === 1 } : null;
}

/** Takes every message out of the queue. Returns which. */
export function cancelAllQueued(tx: Tx, error: Failure, now: number): number[] {
  const queued = tx.exec<{ n: number }>("SELECT n FROM message WHERE state = 'queued'").toArray();
  tx.exec(
    "UPDATE message SET state = 'cancelled', finished_at = ?, error = ? WHERE state = 'queued'",
    now,
    JSON.stringify(error),
  );
  return queued.map(({ n }) => n);
}

/** The message whose turn `n` is, and those that joined it. */
export function messagesOfTurn(sql: SqlStorage, n: number): number[] {
  const rows = sql.exec<{ n: number }>("SELECT n FROM message WHERE n = ? OR joined_n = ? ORDER BY n", n, n).toArray();
  return rows.map((row) => row.n);
}

/** The messages that joined turn `n`. */
export function messagesJoined(sql: SqlStorage, n: number): number[] {
  const rows = sql.exec<{ n: number }>("SELECT n FROM message WHERE joined_n = ? ORDER BY n", n).toArray();
  return rows.map((row) => row.n);
}

/** Who sent message `n`: `user`, an instance's or a job's id; null when there is no such message. */
export function senderOf(sql: SqlStorage, n: number): string | null {
  return first<{ sender: string }>(sql, "SELECT sender FROM message WHERE n = ?", n)?.sender ?? null;
}

/** The coordinated task that message `n` belongs to, or null. */
export function jobOf(sql: SqlStorage, n: number): string | null {
  return first<{ job: string | null }>(sql, "SELECT job FROM message WHERE n = ?", n)?.job ?? null;
}

/** When the turn on message `n` began, in ms since the epoch; null: it has not. */
export function startedAt(sql: SqlStorage, n: number): number | null {
  return first<{ started_at: number | null }>(sql, "SELECT started_at FROM message WHERE n = ?", n)?.started_at ?? null;
}

/** The JSON Schema that message `n`'s answer has to follow, or null. */
export function responseSchema(sql: SqlStorage, n: number): Record<string, unknown> | null {
  const row = first<{ response_schema: string | null }>(sql, "SELECT response_schema FROM message WHERE n = ?", n);
  return row?.response_schema ? (JSON.parse(row.response_schema) as Record<string, unknown>) : null;
}

export function countMessages(sql: SqlStorage): number {
  return sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM message").one().n;
}

/** The `traceparent` that the sender of message `n` gave along, or null. */
export function senderTrace(sql: SqlStorage, n: number): string | null {
  return sql.exec<{ trace: string | null }>("SELECT trace FROM message WHERE n = ?", n).one().trace;
}
