/**
 * The table `turn`: the work on one message, from its start on. At most one is open; the instance row names it.
 */
import type { Unchecked } from "../../contracts/instance.ts";
import type { Failure } from "../../platform/errors.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import type { TurnPhase } from "../turn/next-action.ts";

export interface TurnRow extends Row {
  n: number;
  phase: TurnPhase;
  generation: string;
  step: number;
  resumes: number;
  failures: number;
  crashes: number;
  compactions: number;
  summary_tries: number;
  repairs: number;
  not_before: number | null;
  waiting_reason: string | null;
  cancel_reason: string | null;
  paused: string | null;
  held_ms: number;
  schema_described: number;
  last_step_at: number;
}

const COLUMNS =
  "n, phase, generation, step, resumes, failures, crashes, compactions, summary_tries, repairs, not_before, waiting_reason, cancel_reason, paused, held_ms, schema_described, last_step_at";

export function openTurn(sql: SqlStorage): TurnRow | undefined {
  return first<TurnRow>(sql, `SELECT ${COLUMNS} FROM turn WHERE n = (SELECT open_n FROM instance)`);
}

/** The turn on message `n`, open or closed. */
export function turnOf(sql: SqlStorage, n: number): TurnRow | undefined {
  return first<TurnRow>(sql, `SELECT ${COLUMNS} FROM turn WHERE n = ?`, n);
}

export function insertTurn(tx: Tx, n: number, generation: string, now: number): void {
  tx.exec("INSERT INTO turn (n, phase, generation, last_step_at) VALUES (?, 'ready', ?, ?)", n, generation, now);
}

export function setPhase(tx: Tx, n: number, phase: TurnPhase): void {
  tx.exec("UPDATE turn SET phase = ? WHERE n = ?", phase, n);
}

/**
 * Another runner takes the turn over. `crashed`: the last one died at work; `lostCall`: at a model call, which has failed. An
 * answer's check that it may have died of is not made again.
 */
export function takeOver(
  tx: Tx,
  n: number,
  generation: string,
  { crashed, lostCall }: { crashed: boolean; lostCall: boolean },
): void {
  tx.exec(
    "UPDATE turn SET generation = ?, phase = CASE phase WHEN 'calling' THEN 'ready' WHEN 'checking' THEN 'unchecked' ELSE phase END, crashes = crashes + ?, failures = failures + ? WHERE n = ?",
    generation,
    crashed ? 1 : 0,
    lostCall ? 1 : 0,
    n,
  );
}

/** A model call is being made: nothing is waited for any more. */
export function setCalling(tx: Tx, n: number): void {
  tx.exec("UPDATE turn SET phase = 'calling', not_before = NULL, waiting_reason = NULL WHERE n = ?", n);
}

/** A whole model answer is in, and `phase` comes next. */
export function countStep(tx: Tx, n: number, phase: TurnPhase, simulated: boolean, now: number): void {
  tx.exec(
    `UPDATE turn SET step = step + 1, failures = 0, crashes = 0, not_before = NULL, waiting_reason = NULL, last_step_at = ?, simulated = ?,
       phase = ? WHERE n = ?`,
    now,
    simulated ? 1 : 0,
    phase,
    n,
  );
}

/** The results of the step's tool calls are in the transcript: a model call is next. */
export function setAnswered(tx: Tx, n: number, now: number): void {
  tx.exec("UPDATE turn SET phase = 'ready', last_step_at = ? WHERE n = ?", now, n);
}

/** Nothing happens before `at` (ms since the epoch). */
export function setWaitingUntil(tx: Tx, n: number, at: number, reason: string): void {
  tx.exec("UPDATE turn SET not_before = ?, waiting_reason = ? WHERE n = ?", at, reason, n);
}

/** A model call failed, and another follows at `at`. */
export function setRetry(tx: Tx, turn: TurnRow, at: number, reason: string): void {
  tx.exec(
    "UPDATE turn SET phase = ?, failures = failures + 1, not_before = ?, waiting_reason = ? WHERE n = ?",
    turn.phase === "full" ? "full" : "ready",
    at,
    reason,
    turn.n,
  );
}

/** A cap holds the turn up. */
export function setPaused(tx: Tx, n: number, refusal: Failure, now: number): void {
  tx.exec(
    "UPDATE turn SET paused = ?, paused_at = ?, not_before = NULL, waiting_reason = ? WHERE n = ?",
    JSON.stringify(refusal),
    now,
    refusal.code,
    n,
  );
}

/** Lets the open turn request admission again, if a cap holds it up or it waits for money. Returns whether it did. */
export function clearPaused(sql: SqlStorage, now: number): boolean {
  const rows = sql.exec(
    `UPDATE turn SET held_ms = held_ms + COALESCE(? - paused_at, 0), paused = NULL, paused_at = NULL, not_before = NULL,
       waiting_reason = NULL
     WHERE n = (SELECT open_n FROM instance) AND (paused IS NOT NULL OR waiting_reason = 'budget') RETURNING n`,
    now,
  );
  return rows.toArray().length > 0;
}

/** Nothing but suspended tool calls is left of the step. */
export function setSuspended(tx: Tx, n: number, reason: string): void {
  tx.exec("UPDATE turn SET waiting_reason = ? WHERE n = ?", reason, n);
}

/** One of the suspended tool calls goes on. Returns whether the turn had been shown as waiting. */
export function clearSuspended(tx: Tx, n: number): boolean {
  const shown = tx.exec(
    "UPDATE turn SET waiting_reason = NULL WHERE n = ? AND waiting_reason IS NOT NULL AND paused IS NULL RETURNING n",
    n,
  );
  return shown.toArray().length > 0;
}

/** Asks the open turn to stop; its runner does it. Returns whether there was one. */
export function requestCancel(tx: Tx, reason: string): boolean {
  const asked = tx.exec(
    "UPDATE turn SET cancel_reason = ? WHERE n = (SELECT open_n FROM instance) RETURNING n",
    reason,
  );
  return asked.toArray().length > 0;
}

/** The older part of the conversation was summarized or left out: a model call is next. */
export function countCompaction(tx: Tx, n: number): void {
  tx.exec(
    "UPDATE turn SET phase = 'ready', compactions = compactions + 1, summary_tries = 0, failures = 0 WHERE n = ?",
    n,
  );
}

/** The conversation does not fit: room has to be made. `tries`: requests for a summary that came to nothing, so far. */
export function setFull(tx: Tx, n: number, tries: number): void {
  tx.exec("UPDATE turn SET phase = 'full', summary_tries = ? WHERE n = ?", tries, n);
}

/** A `pause_turn` answer is gone on with. */
export function countResume(tx: Tx, n: number): void {
  tx.exec("UPDATE turn SET resumes = resumes + 1 WHERE n = ?", n);
}

/** The model is asked once more for an answer that follows the schema. */
export function countRepair(tx: Tx, n: number): void {
  tx.exec("UPDATE turn SET repairs = repairs + 1, phase = 'ready' WHERE n = ?", n);
}

/** The schema of the answer is in the conversation, and a model call is next. */
export function setSchemaDescribed(tx: Tx, n: number): void {
  tx.exec("UPDATE turn SET schema_described = 1, phase = 'ready' WHERE n = ?", n);
}

/** `outputIndex`: the response's output row. */
export function setResponse(tx: Tx, n: number, response: { outputIndex: number; truncated: boolean }): void {
  const { outputIndex, truncated } = response;
  tx.exec("UPDATE turn SET response_index = ?, truncated = ? WHERE n = ?", outputIndex, truncated ? 1 : 0, n);
}

/** `value`: the answer as its schema wants it; undefined: it was not checked. `unchecked`: what of the schema was not. */
export function setStructured(tx: Tx, n: number, value: unknown, unchecked: readonly Unchecked[]): void {
  tx.exec(
    "UPDATE turn SET structured = ?, unchecked = ? WHERE n = ?",
    value === undefined ? null : JSON.stringify(value),
    unchecked.length > 0 ? JSON.stringify(unchecked) : null,
    n,
  );
}

/** The turn is closed: it waits for nothing. */
export function clearWaiting(tx: Tx, n: number): void {
  tx.exec("UPDATE turn SET not_before = NULL, waiting_reason = NULL, paused = NULL WHERE n = ?", n);
}

/** `fresh`: tokens. `costNano`: nano-USD. Both are unshown until an output row carries them. */
export function addTurnUsage(tx: Tx, n: number, fresh: number, costNano: number): void {
  tx.exec(
    "UPDATE turn SET tokens_fresh = tokens_fresh + ?, cost_nano = cost_nano + ?, unshown_tokens = unshown_tokens + ?, unshown_nano = unshown_nano + ? WHERE n = ?",
    fresh,
    costNano,
    fresh,
    costNano,
    n,
  );
}

/** What the turn used since its last output row that showed it; the row that asks carries it. */
export function takeUnshown(tx: Tx, n: number): { tokens: number; costNano: number } {
  const row = tx
    .exec<{ t: number; c: number }>("SELECT unshown_tokens AS t, unshown_nano AS c FROM turn WHERE n = ?", n)
    .one();
  tx.exec("UPDATE turn SET unshown_tokens = 0, unshown_nano = 0 WHERE n = ?", n);
  return { tokens: row.t, costNano: row.c };
}
