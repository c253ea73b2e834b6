/**
 * Message coalescing: messages that join a turn which is not their own, and share its end.
 */
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { countDequeued, countErrors } from "../store/instance-row.ts";
import { coalescable, passiveOfTurn, setFailedAlone, setReturned, setRunning } from "../store/messages.ts";
import { reshow, show, userRowOf } from "../store/output.ts";
import { markDue } from "../store/subscriptions.ts";
import type { TurnStore } from "../store/turn-store.ts";
import { addressed } from "./sender-line.ts";

/**
 * Takes the queued messages that may join into turn `n`. Passive ones join wherever there is a turn; what was sent to steer joins
 * behind tool results. One that asks for an answer in a form of its own can't share another's, and has a turn of its own.
 */
export function coalesce(tx: Tx, store: TurnStore, n: number, which: "passive" | "steering", now: number): void {
  const { spec, transcript } = store;
  for (const message of coalescable(tx, n, which === "steering")) {
    const text = addressed(message.content, message.sender_title);
    const seq = transcript.append(tx, n, "user", [{ type: "text", text }], now);
    setRunning(tx, message.n, n, now);
    countDequeued(tx, message.passive ? 0 : 1, now);
    if (message.returned_from !== null) reshow(tx, message.n, seq);
    else show(tx, { n: message.n, type: "user", seq }, now);
    emit(tx, now, "message.started", {
      message_id: messageIdOf(spec.instance_id, message.n),
      joined: messageIdOf(spec.instance_id, n),
    });
  }
}

/** How the turn ends that passive messages leave. */
export interface FailedEnd {
  state: "failed" | "refused";
  error: Failure;
}

/**
 * Passive messages of turn `n` whose rows are no longer in the conversation go back, to be read with the next turn: what made the
 * turn fail need not have been theirs. The second time it is taken to be theirs, and they end as the turn does. Returns
 * those that no longer belong to the turn.
 */
export function returnPassive(
  tx: Tx,
  store: TurnStore,
  n: number,
  omitted: ReadonlySet<number>,
  end: FailedEnd,
  now: number,
): number[] {
  const { instance_id } = store.spec;
  const left = passiveOfTurn(tx, n).filter((message) => omitted.has(userRowOf(tx, message.n) ?? -1));
  for (const message of left) {
    if (message.content !== null && message.returned_from === null) {
      setReturned(tx, message.n, n);
      emit(tx, now, "message.returned", { message_id: messageIdOf(instance_id, message.n) });
      continue;
    }
    setFailedAlone(tx, message.n, end, now);
    countErrors(tx, 1);
    markDue(tx, message.n, now);
    emit(tx, now, `message.${end.state}`, {
      message_id: messageIdOf(instance_id, message.n),
      duration_ms: 0,
      error: end.error.code,
    });
  }
  return left.map((message) => message.n);
}

/**
 * The API refused the conversation since passive messages had joined it: they are taken out again, and the turn tries without
 * them. Returns whether there were any. `after`: the row of the newest answer, behind which nothing was accepted yet.
 */
export function withdrawPassive(
  tx: Tx,
  store: TurnStore,
  n: number,
  after: number | null,
  end: FailedEnd,
  now: number,
): boolean {
  const rows = passiveOfTurn(tx, n)
    .flatMap((message) => userRowOf(tx, message.n) ?? [])
    .filter((seq) => seq > (after ?? -1));
  if (rows.length === 0) return false;
  store.transcript.omit(tx, rows);
  returnPassive(tx, store, n, new Set(rows), end, now);
  return true;
}
