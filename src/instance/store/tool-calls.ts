/**
 * The table `tool_call`: one row per tool call of the model, its intent first, its result after.
 */
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import type { ToolCallState } from "../turn/next-action.ts";

export interface ToolCallRow extends Row {
  id: number;
  tool_use_id: string;
  name: string;
  input: string;
  state: ToolCallState;
  result: string | null;
  is_error: number;
  started_at: number | null;
  wake_at: number | null;
  wait_reason: string | null;
  /** Whether a message may wake it while it is suspended (`allowed`, `never`), or has (`woken`). */
  early_wake: "allowed" | "woken" | "never";
}

/** The calls of the turn's step, in the model's order. */
export function callsOf(sql: SqlStorage, turn: { n: number; step: number }): ToolCallRow[] {
  return sql
    .exec<ToolCallRow>(
      "SELECT id, tool_use_id, name, input, state, result, is_error, started_at, wake_at, wait_reason, early_wake FROM tool_call WHERE n = ? AND step = ? ORDER BY id",
      turn.n,
      turn.step,
    )
    .toArray();
}

/** `refusal`: it is answered with this error at once, and never run. */
export function insertToolCall(
  tx: Tx,
  call: { n: number; step: number; toolUseId: string; name: string; input: string; refusal: string | null },
): void {
  tx.exec(
    "INSERT INTO tool_call (n, step, tool_use_id, name, input, state, result, is_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    call.n,
    call.step,
    call.toolUseId,
    call.name,
    call.input,
    call.refusal === null ? "pending" : "done",
    call.refusal,
    call.refusal === null ? 0 : 1,
  );
}

/** It is about to run. Its `started_at` is of the first time. */
export function setToolRunning(tx: Tx, id: number, now: number): void {
  tx.exec(
    "UPDATE tool_call SET state = 'running', tries = tries + 1, started_at = COALESCE(started_at, ?) WHERE id = ?",
    now,
    id,
  );
}

/** A call that ran has its result. */
export function setResult(tx: Tx, id: number, result: { content: string; isError: boolean }, now: number): void {
  tx.exec(
    "UPDATE tool_call SET state = 'done', result = ?, is_error = ?, finished_at = ? WHERE id = ? AND state = 'running'",
    result.content,
    result.isError ? 1 : 0,
    now,
    id,
  );
}

/** The transcript has the results of the step: they are not kept twice. */
export function dropResults(tx: Tx, turn: { n: number; step: number }): void {
  tx.exec("UPDATE tool_call SET state = 'done', result = NULL WHERE n = ? AND step = ?", turn.n, turn.step);
}

/** The runner of a call that ran has died. `unknown`: it may not be run again. */
export function setInterrupted(tx: Tx, id: number, state: "pending" | "unknown"): void {
  tx.exec("UPDATE tool_call SET state = ? WHERE id = ?", state, id);
}

/** A call that ran goes on at once: what it would wait for has happened. */
export function setPending(tx: Tx, id: number): void {
  tx.exec("UPDATE tool_call SET state = 'pending' WHERE id = ? AND state = 'running'", id);
}

/** A call that ran goes on at once, as a message should not wait for it; but once. Returns whether it does. */
export function setPendingEarly(tx: Tx, id: number): boolean {
  const again = tx.exec(
    "UPDATE tool_call SET state = 'pending', early_wake = 'woken' WHERE id = ? AND state = 'running' AND early_wake = 'allowed' RETURNING id",
    id,
  );
  return again.toArray().length > 0;
}

/** A call that ran waits for `needed` of its waitpoints, until `until` (ms since the epoch) at most. */
export function setCallSuspended(
  tx: Tx,
  id: number,
  wait: { until: number | null; reason: string; needed: number; wakeEarly: boolean },
): void {
  tx.exec(
    `UPDATE tool_call SET state = 'suspended', wake_at = ?, wait_reason = ?, needed = ?,
       early_wake = CASE WHEN ? THEN early_wake ELSE 'never' END WHERE id = ? AND state = 'running'`,
    wait.until,
    wait.reason,
    wait.needed,
    wait.wakeEarly ? 1 : 0,
    id,
  );
}

/** One of its waitpoints has happened. Returns whether the call has enough of them. */
export function countWaitpoint(tx: Tx, id: number): boolean {
  const row = first<{ needed: number }>(
    tx,
    "UPDATE tool_call SET needed = needed - 1 WHERE id = ? AND state = 'suspended' RETURNING needed",
    id,
  );
  return row !== undefined && row.needed <= 0;
}

/** Calls of the open turn that a message may wake early. Returns which; they are still suspended. */
export function setWokenEarly(tx: Tx): number[] {
  const calls = tx
    .exec<{ id: number }>(
      "UPDATE tool_call SET early_wake = 'woken' WHERE n = (SELECT open_n FROM instance) AND state = 'suspended' AND early_wake <> 'never' RETURNING id",
    )
    .toArray();
  return calls.map(({ id }) => id);
}

/** The call is no longer suspended. Returns its turn; undefined when it was not. */
export function setCallResumed(tx: Tx, id: number): number | undefined {
  const row = first<{ n: number }>(
    tx,
    "UPDATE tool_call SET state = 'pending', wake_at = NULL WHERE id = ? AND state = 'suspended' RETURNING n",
    id,
  );
  return row?.n;
}

/** Until when the turn's suspended calls wait, in ms since the epoch; null: for as long as it takes. */
export function suspendedUntil(sql: SqlStorage, n: number): number | null {
  return (
    first<{ at: number | null }>(sql, "SELECT MIN(wake_at) AS at FROM tool_call WHERE n = ? AND state = 'suspended'", n)
      ?.at ?? null
  );
}
