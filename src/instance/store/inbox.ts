/**
 * The inbox: messages from their acceptance to their final state, and how each of them looks from outside.
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import type { MessageResponse, MessageState, MessageView, SendRequest } from "../../contracts/instance.ts";
import { terminated } from "../../contracts/refusals.ts";
import { err, type Failure, ok, type Result } from "../../platform/errors.ts";
import { otherRequest } from "../../platform/idempotency.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { recordCall } from "./audit-record.ts";
import { emit, selfOf } from "./instance-row.ts";
import { nudge, parkedUntil } from "./suspended-calls.ts";
import { type Transcript, textOf } from "./transcript.ts";
import { ring, ringAtRest, watch } from "./watchers.ts";

/** Messages that wait for their turn, at most: a caller that outruns an instance this far has lost count. */
const MAX_QUEUED = 10_000;
/** Notes that wait for a turn to be read in, at most. */
const MAX_NOTES = 1_000;

/** Above every priority that a caller can give: the message that interrupted a turn comes right after it. */
const NEXT_PRIORITY = 1_000_000;

/** Message `n` is in the inbox. `repeated`: it was there before, under the same key, and this call changed nothing. */
export interface Accepted {
  n: number;
  repeated: boolean;
}

/** Takes a message in, all or nothing. The caller arms the wake-up before it answers. */
export function accept(
  storage: DurableObjectStorage,
  instanceId: string,
  request: SendRequest,
  now: number,
): Result<Accepted> {
  return inTransaction(storage, (tx): Result<Accepted> => {
    const { idempotency } = request;
    if (idempotency) {
      const known = first<{ n: number; body_hash: string }>(
        tx,
        "SELECT n, body_hash FROM message WHERE key = ?",
        idempotency.key,
      );
      if (known)
        return known.body_hash === idempotency.body_hash
          ? ok({ n: known.n, repeated: true })
          : otherRequest(idempotency.key);
    }
    const self = selfOf(tx);
    if (self?.ended !== 0) return terminated(instanceId);
    const busy = self.open_n !== null || self.queued > 0;
    const note = request.note === true;
    if (!note && busy && request.when_busy === "reject") {
      return err(
        "conflict",
        `The instance ${instanceId} is at work and the message was not taken (when_busy is reject). Send it later, or with when_busy queue, steer or interrupt.`,
        { instance_id: instanceId, queue_depth: self.queued },
      );
    }
    const waiting = note ? notesOf(tx) : self.queued;
    if (waiting >= (note ? MAX_NOTES : MAX_QUEUED)) {
      return err(
        "limit_reached",
        `${waiting} ${note ? "notes" : "messages"} are queued on ${instanceId}. Wait for some of them before sending more.`,
        { queue_depth: waiting },
      );
    }
    const n = self.next_n;
    tx.exec(
      `INSERT INTO message (n, sender, content, response_schema, state, priority, steer, key, body_hash, created_at, job,
         sender_title, note, trace)
       VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      n,
      request.sender,
      request.message,
      request.response_schema ? JSON.stringify(request.response_schema) : null,
      request.when_busy === "interrupt" ? NEXT_PRIORITY : request.priority,
      request.when_busy === "steer" ? 1 : 0,
      idempotency?.key ?? null,
      idempotency?.body_hash ?? null,
      now,
      request.job ?? null,
      request.sender_title ?? null,
      note ? 1 : 0,
      request.trace ?? null,
    );
    if (request.watcher) watch(tx, n, request.watcher);
    tx.exec("UPDATE self SET next_n = ?, queued = queued + ?, last_activity = ?", n + 1, note ? 0 : 1, now);
    if (request.when_busy === "interrupt" && !note) cancelOpenTurn(tx, "another message interrupted it");
    if (request.when_busy === "steer" && !note) nudge(tx, instanceId, now);
    emit(tx, now, "message.queued", { message_id: messageIdOf(instanceId, n), sender: request.sender });
    recordCall(tx, request.audit, now, messageIdOf(instanceId, n));
    return ok({ n, repeated: false });
  });
}

function notesOf(sql: SqlStorage): number {
  return sql
    .exec<{ n: number }>(
      `SELECT COUNT(*) AS n FROM message INDEXED BY message_joining
       WHERE state = 'queued' AND (note = 1 OR steer > 0) AND note = 1`,
    )
    .one().n;
}

/** Asks the open turn to stop; its runner does it. Returns whether there was one. */
export function cancelOpenTurn(tx: Tx, reason: string): boolean {
  const asked = tx.exec("UPDATE turn SET cancel_reason = ? WHERE n = (SELECT open_n FROM self) RETURNING n", reason);
  return asked.toArray().length > 0;
}

/** The message whose turn `n` is, and those that joined it. */
export function messagesOfTurn(sql: SqlStorage, n: number): number[] {
  const rows = sql.exec<{ n: number }>("SELECT n FROM message WHERE n = ? OR joined_n = ? ORDER BY n", n, n).toArray();
  return rows.map((row) => row.n);
}

/** Takes message `n` out of the queue. Returns false when it is not in it. */
export function cancelQueued(
  storage: DurableObjectStorage,
  instanceId: string,
  n: number,
  reason: string,
  now: number,
  audit?: AuditedCall,
): boolean {
  return inTransaction(storage, (tx) => {
    const error: Failure = { code: "cancelled", message: `The message was cancelled before its turn: ${reason}.` };
    const taken = tx
      .exec<{ note: number }>(
        "UPDATE message SET state = 'cancelled', finished_at = ?, error = ? WHERE n = ? AND state = 'queued' RETURNING note",
        now,
        JSON.stringify(error),
        n,
      )
      .toArray();
    const [row] = taken;
    if (!row) return false;
    tx.exec("UPDATE self SET queued = queued - ?, last_activity = ?", row.note ? 0 : 1, now);
    emit(tx, now, "message.cancelled", { message_id: messageIdOf(instanceId, n) });
    recordCall(tx, audit, now, messageIdOf(instanceId, n));
    ring(tx, n, now);
    ringAtRest(tx, now);
    return true;
  });
}

/** The message whose turn is next: highest priority first, then oldest. */
export function nextQueued(sql: SqlStorage): number | null {
  return (
    first<{ n: number }>(
      sql,
      "SELECT n FROM message WHERE state = 'queued' AND note = 0 ORDER BY priority DESC, n LIMIT 1",
    )?.n ?? null
  );
}

/** Who sent message `n`: `user`, an instance's or a job's id; null when there is no such message. */
export function senderOf(sql: SqlStorage, n: number): string | null {
  return first<{ sender: string }>(sql, "SELECT sender FROM message WHERE n = ?", n)?.sender ?? null;
}

/** The coordinated task that message `n` belongs to, or null. */
export function jobOf(sql: SqlStorage, n: number): string | null {
  return first<{ job: string | null }>(sql, "SELECT job FROM message WHERE n = ?", n)?.job ?? null;
}

interface MessageRow extends Row {
  n: number;
  state: MessageState;
  created_at: number;
  finished_at: number | null;
  error: string | null;
  not_before: number | null;
  waiting_reason: string | null;
  paused: string | null;
  tokens_fresh: number | null;
  cost_nano: number | null;
  simulated: number | null;
  truncated: number | null;
  structured: string | null;
  response_index: number | null;
  turn_n: number | null;
}

const isoOrNull = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

/** How message `n` looks from outside, or null when there is none. */
export function viewOf(sql: SqlStorage, transcript: Transcript, instanceId: string, n: number): MessageView | null {
  const row = first<MessageRow>(
    sql,
    `SELECT m.n, m.state, m.created_at, m.finished_at, m.error, t.not_before, t.waiting_reason, t.paused, t.tokens_fresh, t.cost_nano, t.simulated,
       t.truncated, t.structured, t.response_index, t.n AS turn_n
     FROM message m LEFT JOIN turn t ON t.n = COALESCE(m.joined_n, m.n) WHERE m.n = ?`,
    n,
  );
  if (!row) return null;
  const view: MessageView = {
    message_id: messageIdOf(instanceId, n),
    created_at: new Date(row.created_at).toISOString(),
    state: row.state,
  };
  if (row.state === "waiting" && row.waiting_reason) {
    view.waiting_for = {
      reason: row.waiting_reason,
      until: isoOrNull(row.not_before ?? parkedUntil(sql, row.turn_n ?? row.n)),
    };
  }
  if (row.cost_nano !== null) view.cost = row.cost_nano / NANO_PER_USD;
  if (row.paused) view.paused = JSON.parse(row.paused) as Failure;
  if (row.error) view.error = JSON.parse(row.error) as Failure;
  if (row.state === "completed") view.response = responseOf(sql, transcript, row, view.message_id);
  return view;
}

function responseOf(sql: SqlStorage, transcript: Transcript, row: MessageRow, messageId: string): MessageResponse {
  const output =
    row.response_index === null
      ? undefined
      : first<{ seq: number | null }>(sql, "SELECT seq FROM output WHERE message_index = ?", row.response_index);
  const entry = output?.seq ? transcript.entry(output.seq) : undefined;
  return {
    message_id: messageId,
    response: entry ? textOf(entry.blocks) : "",
    ...(row.structured ? { structured: JSON.parse(row.structured) as unknown } : {}),
    timestamp: new Date(row.finished_at ?? 0).toISOString(),
    tokens_used: row.tokens_fresh ?? 0,
    cost: (row.cost_nano ?? 0) / NANO_PER_USD,
    ...(row.truncated ? { truncated: true as const } : {}),
    ...(row.simulated ? { simulated: true as const } : {}),
  };
}
