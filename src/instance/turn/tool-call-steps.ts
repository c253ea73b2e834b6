/**
 * The steps of a tool call: its intent is written before it runs, its result after. A call is answered exactly once, in the
 * model's order, together with the others of its step.
 */
import { hasOpenServerTool } from "../../anthropic/conversation.ts";
import type { Block } from "../../contracts/transcript.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Tx } from "../../platform/transaction.ts";
import { emit } from "../store/events.ts";
import { show } from "../store/output.ts";
import { callsOf, dropResults, setResult, setToolRunning, type ToolCallRow } from "../store/tool-calls.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import { setAnswered, type TurnRow } from "../store/turns.ts";
import { coalesce } from "./message-coalescing.ts";
import { showResumed } from "./suspension.ts";

const UNKNOWN_OUTCOME =
  "This call was interrupted by a restart. It may or may not have taken effect: check before you repeat it.";
const NEVER_BEGUN = "The turn was stopped before this call was begun: it was not run.";
const STOPPED_WAITING = "The turn was stopped while this call waited.";
const STOPPED_AT_WORK =
  "The turn was stopped while this call ran. It may have taken effect: check before you repeat it.";

/** Marks a call as running, before it runs. */
export function beginTool(store: TurnStore, turn: TurnRow, id: number, now: number): void {
  fenced(store, (tx) => {
    showResumed(tx, store.spec.instance_id, turn.n, now);
    setToolRunning(tx, id, now);
  });
}

/** Keeps a running call's result, as soon as there is one. */
export function endTool(
  store: TurnStore,
  turn: TurnRow,
  call: ToolCallRow,
  result: { content: string; isError: boolean },
  now: number,
): void {
  fenced(store, (tx) => {
    setResult(tx, call.id, result, now);
    emit(tx, now, "tool.finished", {
      message_id: messageIdOf(store.spec.instance_id, turn.n),
      tool: call.name,
      is_error: result.isError,
    });
  });
}

/** A running call that was not approved is answered without having run. */
export function denyTool(store: TurnStore, turn: TurnRow, call: ToolCallRow, note: string, now: number): void {
  const content = `This call was not approved, and was not run.${note ? ` The reason: ${note}` : ""}`;
  endTool(store, turn, call, { content, isError: true }, now);
}

/** All calls of the step have ended: one user message with all results, in the model's order. */
export function appendResults(store: TurnStore, turn: TurnRow, now: number): void {
  fenced(store, (tx) => {
    writeResults(tx, store, turn, now);
    // The API goes on with a search only if nothing but results comes between.
    if (!hasOpenServerTool(store.transcript.entries())) coalesce(tx, store, turn.n, "steering", now);
    setAnswered(tx, turn.n, now);
  });
}

/** What the model is told of a call that has no result, or null: it has one. */
function unfinished({ state, started_at }: Pick<ToolCallRow, "state" | "started_at">): string | null {
  switch (state) {
    case "done":
      return null;
    case "unknown":
      return UNKNOWN_OUTCOME;
    case "running":
      return STOPPED_AT_WORK;
    case "suspended":
      return STOPPED_WAITING;
    case "pending":
      // One that waited and was about to run again.
      return started_at === null ? NEVER_BEGUN : STOPPED_WAITING;
  }
}

/** The results of the step's calls, as one user message. Of a call that has not ended it says so. */
export function writeResults(tx: Tx, store: TurnStore, turn: TurnRow, now: number): void {
  const calls = callsOf(tx, turn);
  if (calls.length === 0) return;
  const blocks = calls.map((call): Block => {
    const open = unfinished(call);
    const isError = open !== null || call.is_error === 1;
    // The API refuses empty text in a result.
    const content = (open ?? call.result ?? "") || "(no output)";
    return { type: "tool_result", tool_use_id: call.tool_use_id, content, ...(isError ? { is_error: true } : {}) };
  });
  const seq = store.transcript.append(tx, turn.n, "user", blocks, now);
  blocks.forEach((_block, index) => {
    show(tx, { n: turn.n, type: "tool_result", seq, block: index }, now);
  });
  emit(tx, now, "tools.answered", { message_id: messageIdOf(store.spec.instance_id, turn.n), results: blocks.length });
  dropResults(tx, turn);
}
