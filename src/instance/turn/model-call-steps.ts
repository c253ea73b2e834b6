/**
 * The steps of a model call: from the moment before it to its end, and the waits that take its place. Each is one transaction.
 */
import { costOf, priceOf } from "../../anthropic/prices.ts";
import type { Reply } from "../../anthropic/reply.ts";
import { type CallEnding, settlementData } from "../../contracts/call-settled.ts";
import type { InstanceEvent } from "../../contracts/instance-spec.ts";
import type { Failure } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { addUsage, countModelCall } from "../store/instance-row.ts";
import { messagesOfTurn, showRunning } from "../store/messages.ts";
import { insertModelCall, type ModelCallOutcome, modelCall, setOutcome } from "../store/model-calls.ts";
import { show } from "../store/output.ts";
import { markDue, markPauseDue } from "../store/subscriptions.ts";
import { textOf } from "../store/transcript.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import {
  addTurnUsage,
  setCalling,
  setFull,
  setPaused,
  setPhase,
  setRetry,
  setWaitingUntil,
  type TurnRow,
} from "../store/turns.ts";
import { announceWaiting } from "./suspension.ts";

/** Writes down that a model call is about to be made. Returns its number. */
export function beginCall(store: TurnStore, turn: TurnRow, maxTokens: number, now: number): number {
  return fenced(store, (tx) => {
    setCalling(tx, turn.n);
    showRunning(tx, turn.n);
    countModelCall(tx, now);
    return insertModelCall(tx, { n: turn.n, step: turn.step + 1, model: store.spec.model, maxTokens }, now);
  });
}

/** The end of a model call. */
export interface CallEnd {
  id: number;
  /** The message whose turn made it. */
  n: number;
  outcome: ModelCallOutcome;
  /** As far as it came; null: nothing did, and it used what `keepStart` kept. */
  reply: Reply | null;
  error?: Failure;
  /** The transcript row that the reply went into. */
  answerSeq?: number | null;
}

/** The event of a model call's end. */
export type CallEnded = Pick<InstanceEvent, "kind" | "data">;

/**
 * Ends a model call and adds what it used to the turn and the instance. The caller announces it once the output rows that belong
 * to it are written.
 */
export function endCall(tx: Tx, store: TurnStore, end: CallEnd, now: number): CallEnded {
  const { id, n, outcome, reply, error = null, answerSeq = null } = end;
  const call = modelCall(tx, id);
  const usage = reply?.usage ?? call.usage;
  const stopReason = reply?.stopReason ?? null;
  const prompt = usage.input + usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h;
  const price = priceOf(call.model, call.startedAt, prompt);
  // What broke off is counted by the ledger, at its reservation: it has no price of its own.
  const costNano = price && outcome === "completed" ? costOf(price, usage) : 0;
  const fresh = usage.input + usage.cacheWrite5m + usage.cacheWrite1h + usage.output;
  setOutcome(tx, id, { outcome, stopReason, usage, costNano, error, answerSeq }, now);
  addTurnUsage(tx, n, fresh, costNano);
  addUsage(tx, usage, costNano, now);
  return {
    kind: `model_call.${outcome}`,
    data: {
      message_id: messageIdOf(store.spec.instance_id, n),
      ...settlementData(id, billedAs(outcome, reply, error), usage, call.requestId),
      model: call.model,
      duration_ms: now - call.startedAt,
      stop_reason: stopReason,
      cost_nano: costNano,
      error: error?.code ?? null,
      ...(answerSeq === null ? {} : { answer: answerSeq }),
    },
  };
}

/**
 * An HTTP error before any answer, or an API that could not be reached: nothing is billed for that. Any other call that broke off may have
 * been billed.
 */
function billedAs(outcome: ModelCallOutcome, reply: Reply | null, error: Failure | null): CallEnding["kind"] {
  if (outcome === "completed") return "settled";
  const refused = typeof error?.details?.status === "number" || error?.details?.unreached === true;
  return reply === null && refused ? "release" : "unsettled";
}

/** Tells of a model call's end. */
export function announce(tx: Tx, { kind, data }: CallEnded, now: number): void {
  emit(tx, now, kind, data);
}

/** The turn may not call the model yet: it goes on at `at` (ms since the epoch). Nothing was tried, so nothing failed. */
export function waitForAdmission(
  store: TurnStore,
  turn: TurnRow,
  wait: { at: number; reason: string },
  now: number,
): void {
  fenced(store, (tx) => {
    setWaitingUntil(tx, turn.n, wait.at, wait.reason);
    announceWaiting(tx, store.spec.instance_id, turn.n, { reason: wait.reason, until: wait.at }, now);
  });
}

/** A cap leaves too little for the next call: the turn stays as it is until the cap is raised. */
export function pause(store: TurnStore, turn: TurnRow, error: Failure, now: number): void {
  fenced(store, (tx) => {
    setPaused(tx, turn.n, error, now);
    announceWaiting(tx, store.spec.instance_id, turn.n, { reason: error.code, until: null }, now);
    for (const n of messagesOfTurn(tx, turn.n)) markDue(tx, n, now);
    markPauseDue(tx, now);
  });
}

/** A model call came to nothing and is tried again at `at` (ms since the epoch). `callId` null: it was not even made. */
export function postpone(
  store: TurnStore,
  callId: number | null,
  turn: TurnRow,
  wait: { at: number; reason: string; error: Failure; reply: Reply | null },
  now: number,
): void {
  fenced(store, (tx) => {
    if (callId !== null) {
      const { reply, error } = wait;
      announce(tx, endCall(tx, store, { id: callId, n: turn.n, outcome: "failed", reply, error }, now), now);
    }
    setRetry(tx, turn, wait.at, wait.reason);
    announceWaiting(tx, store.spec.instance_id, turn.n, { reason: wait.reason, until: wait.at }, now);
  });
}

/** What was streamed of an answer that will not be asked for again is what the model said: it is part of the conversation. */
export function keepCutText(tx: Tx, store: TurnStore, n: number, reply: Reply | null, now: number): void {
  const blocks = reply?.blocks.filter((block) => block !== undefined) ?? [];
  const text = textOf(blocks).trimEnd().toWellFormed();
  if (text === "") return;
  const seq = store.transcript.append(tx, n, "assistant", [{ type: "text", text }], now);
  show(tx, { n, type: "progress", seq, cut: true }, now);
}

/** A model call was broken off from outside; the rows say why, and the runner looks there next. */
export function breakOff(store: TurnStore, callId: number, turn: TurnRow, reply: Reply | null, now: number): void {
  fenced(store, (tx) => {
    const ended = endCall(tx, store, { id: callId, n: turn.n, outcome: "aborted", reply }, now);
    keepCutText(tx, store, turn.n, reply, now);
    announce(tx, ended, now);
    setPhase(tx, turn.n, "ready");
  });
}

/** The conversation does not fit: the turn goes on once it is compacted. A summary that does not fit either is asked for with less. */
export function fillUp(
  store: TurnStore,
  callId: number,
  turn: TurnRow,
  reply: Reply | null,
  error: Failure,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, endCall(tx, store, { id: callId, n: turn.n, outcome: "failed", reply, error }, now), now);
    setFull(tx, turn.n, turn.summary_tries + (turn.phase === "full" ? 1 : 0));
  });
}

/** The conversation has grown to where a summary is cheaper than to read all of it again. */
export function beginCompaction(store: TurnStore, turn: TurnRow): void {
  fenced(store, (tx) => setPhase(tx, turn.n, "full"));
}

/** The API answered without a summary: it is not asked again, `tries` being the most that are made. */
export function noSummary(
  store: TurnStore,
  callId: number,
  turn: TurnRow,
  reply: Reply,
  tries: number,
  now: number,
): void {
  fenced(store, (tx) => {
    announce(tx, endCall(tx, store, { id: callId, n: turn.n, outcome: "completed", reply }, now), now);
    setFull(tx, turn.n, tries);
  });
}
