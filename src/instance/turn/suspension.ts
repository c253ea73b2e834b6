/**
 * Suspended tool calls: a call that waits for something elsewhere (another instance's answer, a person's) gives its turn back
 * instead of holding it. It holds nothing but rows, and runs again when enough of what it waits for has happened, or at its
 * time. So a tool that suspends has to be repeatable.
 */

import type { Waitpoint } from "../../contracts/instance-tool.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { showRunning, showWaiting, steeringWaits } from "../store/messages.ts";
import {
  countWaitpoint,
  setCallResumed,
  setCallSuspended,
  setPending,
  setPendingEarly,
  setWokenEarly,
} from "../store/tool-calls.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { clearSuspended, setSuspended, type TurnRow } from "../store/turns.ts";
import { deleteWaitpoints, insertWaitpoints, takeWaitpoints } from "../store/waitpoints.ts";

/**
 * Suspends a running call. `notified`: what has happened since it began to run; if that is enough, it is pending again at once.
 */
export function suspendCall(
  store: TurnStore,
  call: { id: number },
  waitpoint: Waitpoint,
  notified: ReadonlySet<string>,
): void {
  const { until, reason, wakeEarly } = waitpoint;
  const open = waitpoint.ids.filter((id) => !notified.has(id));
  const needed = waitpoint.needed - (waitpoint.ids.length - open.length);
  fenced(store, (tx) => {
    deleteWaitpoints(tx, call.id);
    if (needed <= 0) return setPending(tx, call.id);
    // It came in before the call could be told of it, and would wait as long as the call.
    if (wakeEarly && steeringWaits(tx) && setPendingEarly(tx, call.id)) return;
    setCallSuspended(tx, call.id, { until, reason, needed, wakeEarly });
    insertWaitpoints(tx, call.id, open);
  });
}

/** Shows that the turn waits and for what, once nothing but suspended calls is left of its step. */
export function showSuspended(
  store: TurnStore,
  turn: TurnRow,
  waiting: { reason: string; until: number | null },
  now: number,
): void {
  if (turn.waiting_reason !== null) return;
  fenced(store, (tx) => {
    setSuspended(tx, turn.n, waiting.reason);
    announceWaiting(tx, store.spec.instance_id, turn.n, waiting, now);
  });
}

/** Shows the turn's messages as waiting, until a time (ms since the epoch) or (null) for something. */
export function announceWaiting(
  tx: Tx,
  instanceId: string,
  n: number,
  { reason, until }: { reason: string; until: number | null },
  now: number,
): void {
  showWaiting(tx, n);
  emit(tx, now, "message.waiting", {
    message_id: messageIdOf(instanceId, n),
    reason,
    until: until === null ? null : new Date(until).toISOString(),
  });
}

/** Something that calls may wait for has happened. Returns whether one of them has enough, and runs again. */
export function onNotification(storage: DurableObjectStorage, instanceId: string, id: string, now: number): boolean {
  return inTransaction(storage, (tx) => {
    const ready = takeWaitpoints(tx, id).filter((callId) => countWaitpoint(tx, callId));
    for (const callId of ready) resumeCall(tx, instanceId, callId, now);
    return ready.length > 0;
  });
}

/** A message came in that should not wait: calls that wait for other instances come back with what they have. */
export function wakeEarly(tx: Tx, instanceId: string, now: number): void {
  for (const id of setWokenEarly(tx)) resumeCall(tx, instanceId, id, now);
}

/** The call runs again, if it is suspended. */
export function resumeCall(tx: Tx, instanceId: string, callId: number, now: number): void {
  const n = setCallResumed(tx, callId);
  if (n === undefined) return;
  deleteWaitpoints(tx, callId);
  showResumed(tx, instanceId, n, now);
}

/** The turn works again. */
export function showResumed(tx: Tx, instanceId: string, n: number, now: number): void {
  if (!clearSuspended(tx, n)) return;
  showRunning(tx, n);
  emit(tx, now, "message.resumed", { message_id: messageIdOf(instanceId, n) });
}
