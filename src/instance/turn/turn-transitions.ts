/**
 * A turn from its start to its end. Each function is one step, in one transaction, and leaves rows from which
 * `nextAction` goes on.
 */
import type { Reply } from "../../anthropic/reply.ts";
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { clearOpenTurn, setOpenTurn } from "../store/instance-row.ts";
import { type FinalState, messagesJoined, queuedText, setFinal, setRunning, startedAt } from "../store/messages.ts";
import { liveModelCalls, newestAnswerRow } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { markDue, markRestDue } from "../store/subscriptions.ts";
import { callsOf, setInterrupted } from "../store/tool-calls.ts";
import { fenced, type TurnStore, transaction } from "../store/turn-store.ts";
import { clearWaiting, insertTurn, openTurn, setPhase, type TurnRow, takeOver, takeUnshown } from "../store/turns.ts";
import { coalesce, type FailedEnd, returnPassive, withdrawPassive } from "./message-coalescing.ts";
import { announce, endCall, keepCutText } from "./model-call-steps.ts";
import { closeQuestions } from "./questions.ts";
import { refusesContent, rollBack } from "./rollback.ts";
import { addressed } from "./sender-line.ts";
import { writeResults } from "./tool-call-steps.ts";

/** Starts the turn on message `n`: its text goes into the transcript. */
export function start(store: TurnStore, n: number, now: number): void {
  transaction(store, (tx) => {
    const message = queuedText(tx, n);
    if (!message) return;
    const text = addressed(message.content, message.sender_title);
    const seq = store.transcript.append(tx, n, "user", [{ type: "text", text }], now);
    setRunning(tx, n, null, now);
    insertTurn(tx, n, store.generation, now);
    setOpenTurn(tx, n, now);
    show(tx, { n, type: "user", seq }, now);
    emit(tx, now, "message.started", { message_id: messageIdOf(store.spec.instance_id, n) });
    coalesce(tx, store, n, "passive", now);
  });
}

/**
 * Takes over a turn whose runner died. Its model call is lost (its tokens stay counted as far as they were reported), a
 * tool that was running is open again where it may be repeated, and otherwise of unknown outcome.
 */
export function recover(store: TurnStore, repeatable: (tool: string) => boolean, now: number): void {
  transaction(store, (tx) => {
    const turn = openTurn(tx);
    if (!turn) return;
    const live = liveModelCalls(tx, turn.n);
    for (const id of live) announce(tx, endCall(tx, store, { id, n: turn.n, outcome: "lost", reply: null }, now), now);
    const running = (turn.phase === "tools" ? callsOf(tx, turn) : []).filter(({ state }) => state === "running");
    for (const call of running) setInterrupted(tx, call.id, repeatable(call.name) ? "pending" : "unknown");
    // Without a lost model call or tool nothing crashed: the turn rested in its rows, and its object had gone meanwhile.
    const crashed = live.length > 0 || running.length > 0;
    takeOver(tx, turn.n, store.generation, { crashed, lostCall: live.length > 0 });
    if (!crashed) return;
    emit(tx, now, "turn.recovered", { message_id: messageIdOf(store.spec.instance_id, turn.n), phase: turn.phase });
  });
}

/** A model call failed for good, and the message with it; unless it may have failed for passive messages that had joined it. */
export function giveUp(
  store: TurnStore,
  callId: number,
  turn: TurnRow,
  reply: Reply | null,
  error: Failure,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, endCall(tx, store, { id: callId, n: turn.n, outcome: "failed", reply, error }, now), now);
    if (tryWithoutPassive(tx, store, turn.n, { state: "failed", error }, now)) return;
    keepCutText(tx, store, turn.n, reply, now);
    finish(tx, store, turn.n, "failed", error, now);
  });
}

/**
 * What the API refused may be in passive messages that joined the turn since its last answer. Then they are taken out, and the
 * turn calls the model again. Returns whether it does.
 */
export function tryWithoutPassive(tx: Tx, store: TurnStore, n: number, end: FailedEnd, now: number): boolean {
  if (!refusesContent(end.error) || !withdrawPassive(tx, store, n, newestAnswerRow(tx), end, now)) return false;
  setPhase(tx, n, "ready");
  return true;
}

/** Ends the open turn without an answer. The conversation stays valid: open tool calls get a result that says so. */
export function abandon(store: TurnStore, state: "failed" | "cancelled", error: Failure, now: number): void {
  fenced(store, (tx) => {
    const turn = openTurn(tx);
    if (!turn) return;
    if (turn.phase === "tools") writeResults(tx, store, turn, now);
    if (state === "cancelled") {
      // The text stays in the conversation, unanswered: without this the next answer would answer it too.
      const note = "[This was stopped before it was answered. Do not go on with it unless you are asked to.]";
      store.transcript.append(tx, turn.n, "user", [{ type: "text", text: note }], now);
    }
    finish(tx, store, turn.n, state, error, now);
  });
}

/** The final state of the open turn's message, with everything that depends on it. */
export function finish(
  tx: Tx,
  store: TurnStore,
  n: number,
  state: FinalState,
  error: Failure | null,
  now: number,
): void {
  const failed = state === "failed" || state === "refused";
  if (failed && error) {
    const { rollback, sentence } = rollBack(tx, store, n, error, now);
    error = { ...error, message: `${error.message} ${sentence}` };
    returnPassive(tx, store, n, new Set(rollback.omitted), { state, error }, now);
  }
  if (error) show(tx, { n, type: "notice", text: `${state}: ${error.message}`, ...takeUnshown(tx, n) }, now);
  const durationMs = now - (startedAt(tx, n) ?? now);
  const joined = messagesJoined(tx, n);
  setFinal(tx, n, state, error, now);
  clearWaiting(tx, n);
  const completed = state === "completed";
  const count = 1 + joined.length;
  clearOpenTurn(
    tx,
    {
      completed: completed ? count : 0,
      failed: failed ? count : 0,
      responseMs: completed ? count * durationMs : 0,
      errorMessage: failed ? (error?.message ?? null) : null,
    },
    now,
  );
  closeQuestions(tx, store.spec.instance_id, now);
  markRestDue(tx, now);
  for (const message of [n, ...joined]) {
    markDue(tx, message, now);
    emit(tx, now, `message.${state}`, {
      message_id: messageIdOf(store.spec.instance_id, message),
      duration_ms: durationMs,
      ...(error ? { error: error.code } : {}),
    });
  }
}
