/**
 * Parked tool calls: a call that waits for something elsewhere (another instance's answer, a person's) gives its turn back
 * instead of holding it. It holds nothing but rows, and runs again when enough of what it waits for has happened, or at its
 * time. So a tool that parks has to be repeatable.
 */

import type { Waitpoint } from "../../contracts/instance-tool.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { emit } from "./instance-row.ts";
import { fenced, type TurnRow, type TurnStore } from "./turn-store.ts";

/**
 * Parks a running call. `heard`: what has been told since it began to run; if that is enough, it is pending again at once.
 */
export function parkCall(store: TurnStore, call: { id: number }, park: Waitpoint, heard: ReadonlySet<string>): void {
  const open = park.ids.filter((id) => !heard.has(id));
  const needed = park.needed - (park.ids.length - open.length);
  fenced(store, (tx) => {
    tx.exec("DELETE FROM awaited WHERE call_id = ?", call.id);
    if (needed <= 0) {
      tx.exec("UPDATE tool_call SET state = 'pending' WHERE id = ? AND state = 'running'", call.id);
      return;
    }
    if (park.wakeEarly && steeringWaits(tx)) {
      // It came in before the call could be told of it, and would wait as long as the call.
      const again = tx.exec(
        "UPDATE tool_call SET state = 'pending', nudged = 1 WHERE id = ? AND state = 'running' AND nudged = 0 RETURNING id",
        call.id,
      );
      if (again.toArray().length > 0) return;
    }
    tx.exec(
      "UPDATE tool_call SET state = 'parked', wake_at = ?, park_reason = ?, needed = ? WHERE id = ? AND state = 'running'",
      park.until,
      park.reason,
      needed,
      call.id,
    );
    for (const id of open) tx.exec("INSERT OR IGNORE INTO awaited (call_id, id) VALUES (?, ?)", call.id, id);
    if (!park.wakeEarly) tx.exec("UPDATE tool_call SET nudged = -1 WHERE id = ?", call.id);
  });
}

/** Whether a message is queued that joins the turn behind its tool results. */
function steeringWaits(sql: SqlStorage): boolean {
  const waiting =
    "SELECT 1 AS one FROM message INDEXED BY message_joining WHERE state = 'queued' AND (note = 1 OR steer > 0) AND note = 0 AND response_schema IS NULL LIMIT 1";
  return first(sql, waiting) !== undefined;
}

/** Shows that the turn waits and for what, once nothing but parked calls is left of its step. */
export function showParked(
  store: TurnStore,
  turn: TurnRow,
  waiting: { reason: string; until: number | null },
  now: number,
): void {
  if (turn.waiting_reason !== null) return;
  fenced(store, (tx) => {
    tx.exec("UPDATE turn SET waiting_reason = ? WHERE n = ?", waiting.reason, turn.n);
    tx.exec("UPDATE message SET state = 'waiting' WHERE (n = ? OR joined_n = ?) AND state = 'running'", turn.n, turn.n);
    emit(tx, now, "message.waiting", {
      message_id: messageIdOf(store.spec.instance_id, turn.n),
      reason: waiting.reason,
      until: waiting.until === null ? null : new Date(waiting.until).toISOString(),
    });
  });
}

/** Something that calls may wait for has happened. Returns whether one of them has enough, and runs again. */
export function hear(storage: DurableObjectStorage, instanceId: string, id: string, now: number): boolean {
  return inTransaction(storage, (tx) => {
    const calls = tx.exec<{ call_id: number }>("DELETE FROM awaited WHERE id = ? RETURNING call_id", id).toArray();
    let ready = false;
    for (const { call_id } of calls) {
      const row = first<{ needed: number }>(
        tx,
        "UPDATE tool_call SET needed = needed - 1 WHERE id = ? AND state = 'parked' RETURNING needed",
        call_id,
      );
      if (!row || row.needed > 0) continue;
      unpark(tx, instanceId, call_id, now);
      ready = true;
    }
    return ready;
  });
}

/** A message came in that should not wait: calls that wait for other instances come back with what they have. */
export function nudge(tx: Tx, instanceId: string, now: number): void {
  const calls = tx
    .exec<{ id: number }>(
      "UPDATE tool_call SET nudged = 1 WHERE n = (SELECT open_n FROM self) AND state = 'parked' AND nudged >= 0 RETURNING id",
    )
    .toArray();
  for (const { id } of calls) unpark(tx, instanceId, id, now);
}

/** The call runs again. */
export function unpark(tx: Tx, instanceId: string, callId: number, now: number): void {
  const row = first<{ n: number }>(
    tx,
    "UPDATE tool_call SET state = 'pending', wake_at = NULL WHERE id = ? AND state = 'parked' RETURNING n",
    callId,
  );
  if (!row) return;
  tx.exec("DELETE FROM awaited WHERE call_id = ?", callId);
  showResumed(tx, instanceId, row.n, now);
}

/** The turn works again. */
export function showResumed(tx: Tx, instanceId: string, n: number, now: number): void {
  const shown = tx
    .exec(
      "UPDATE turn SET waiting_reason = NULL WHERE n = ? AND waiting_reason IS NOT NULL AND paused IS NULL RETURNING n",
      n,
    )
    .toArray();
  if (shown.length === 0) return;
  tx.exec("UPDATE message SET state = 'running' WHERE (n = ? OR joined_n = ?) AND state = 'waiting'", n, n);
  emit(tx, now, "message.resumed", { message_id: messageIdOf(instanceId, n) });
}

/** Until when the open turn's parked calls wait, in ms since the epoch; null: for as long as it takes. */
export function parkedUntil(sql: SqlStorage, n: number): number | null {
  return (
    first<{ at: number | null }>(sql, "SELECT MIN(wake_at) AS at FROM tool_call WHERE n = ? AND state = 'parked'", n)
      ?.at ?? null
  );
}
