/**
 * Tool calls of a turn: the intent is written before a tool runs, its result after. A call is answered exactly once, in
 * the model's order, together with the others of its step.
 */

import { hasOpenServerTool } from "../../anthropic/conversation.ts";
import type { Block } from "../../contracts/transcript.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import type { ToolCallState } from "../turn/next-action.ts";
import { emit } from "./instance-row.ts";
import { join } from "./joined-messages.ts";
import { show } from "./output.ts";
import { showResumed } from "./suspended-calls.ts";
import { fenced, type TurnRow, type TurnStore } from "./turn-store.ts";

export const CUT_OFF_CALL =
  "This call was cut off by the output limit before it was whole, and was not run. Send it again in smaller pieces.";
const UNKNOWN_OUTCOME =
  "This call was interrupted by a restart. It may or may not have taken effect: check before you repeat it.";
const NEVER_BEGUN = "The turn was stopped before this call was begun: it was not run.";
const STOPPED_WAITING = "The turn was stopped while this call waited.";
const STOPPED_AT_WORK =
  "The turn was stopped while this call ran. It may have taken effect: check before you repeat it.";

export interface CallRow extends Row {
  id: number;
  tool_use_id: string;
  name: string;
  input: string;
  state: ToolCallState;
  result: string | null;
  is_error: number;
  started_at: number | null;
  wake_at: number | null;
  park_reason: string | null;
  nudged: number;
}

export function callsOf(sql: SqlStorage, turn: { n: number; step: number }): CallRow[] {
  return sql
    .exec<CallRow>(
      "SELECT id, tool_use_id, name, input, state, result, is_error, started_at, wake_at, park_reason, nudged FROM tool_call WHERE n = ? AND step = ? ORDER BY id",
      turn.n,
      turn.step,
    )
    .toArray();
}

/** Marks a call as running, before it runs. Its `started_at` is of the first time. */
export function beginTool(store: TurnStore, turn: TurnRow, id: number, now: number): void {
  fenced(store, (tx) => {
    showResumed(tx, store.spec.instance_id, turn.n, now);
    tx.exec(
      "UPDATE tool_call SET state = 'running', tries = tries + 1, started_at = COALESCE(started_at, ?) WHERE id = ?",
      now,
      id,
    );
  });
}

/** Keeps a call's result, as soon as there is one. */
export function endTool(
  store: TurnStore,
  turn: TurnRow,
  call: CallRow,
  result: { content: string; isError: boolean },
  now: number,
): void {
  fenced(store, (tx) => keepResult(tx, store, turn, call, result, now));
}

function keepResult(
  tx: Tx,
  store: TurnStore,
  turn: TurnRow,
  call: CallRow,
  result: { content: string; isError: boolean },
  now: number,
): void {
  tx.exec(
    "UPDATE tool_call SET state = 'done', result = ?, is_error = ?, finished_at = ? WHERE id = ? AND state = 'running'",
    result.content,
    result.isError ? 1 : 0,
    now,
    call.id,
  );
  emit(tx, now, "tool.finished", {
    message_id: messageIdOf(store.spec.instance_id, turn.n),
    tool: call.name,
    is_error: result.isError,
  });
}

/** A call that was not allowed is answered without having run. */
export function denyTool(store: TurnStore, turn: TurnRow, call: CallRow, note: string, now: number): void {
  const content = `This call was not approved, and was not run.${note ? ` The reason: ${note}` : ""}`;
  fenced(store, (tx) => {
    tx.exec("UPDATE tool_call SET state = 'running' WHERE id = ?", call.id);
    keepResult(tx, store, turn, call, { content, isError: true }, now);
  });
}

/** All calls of the step have ended: one user message with all results, in the model's order. */
export function appendResults(store: TurnStore, turn: TurnRow, now: number): void {
  fenced(store, (tx) => {
    writeResults(tx, store, turn, now);
    // The API goes on with a search only if nothing but results comes between.
    if (!hasOpenServerTool(store.transcript.entries())) join(tx, store, turn.n, "steering", now);
    tx.exec("UPDATE turn SET phase = 'ready', last_step_at = ? WHERE n = ?", now, turn.n);
  });
}

/** What the model is told of a call that has no result, or null: it has one. */
function unfinished({ state, started_at }: Pick<CallRow, "state" | "started_at">): string | null {
  switch (state) {
    case "done":
      return null;
    case "unknown":
      return UNKNOWN_OUTCOME;
    case "running":
      return STOPPED_AT_WORK;
    case "parked":
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
  // The transcript has it now.
  tx.exec("UPDATE tool_call SET state = 'done', result = NULL WHERE n = ? AND step = ?", turn.n, turn.step);
}
