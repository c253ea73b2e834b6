/**
 * The table `step`: the steps of a job, from their start to their end.
 */

import type { JobSpec, StepKind, StepState } from "../contracts/job.ts";
import type { DeliveryPolicy, DeliveryTable } from "../platform/delivery.ts";
import type { Failure } from "../platform/errors.ts";
import { first, type Row } from "../platform/sqlite.ts";
import type { Tx } from "../platform/transaction.ts";
import { note } from "./job-state.ts";
import { enqueue } from "./outbox.ts";
import type { Outcome } from "./strategies/outcome.ts";
import type { NewStep, Steps, StepView } from "./strategies/strategy.ts";

/** Characters of an answer that are kept for the prompts of others: as much as a model writes with the default max_tokens. */
const MAX_OUTPUT_CHARACTERS = 64_000;

/** Everything but the answer's text, which can be large. */
const COLUMNS: readonly (keyof StepRow & string)[] = [
  ...(["n", "key", "kind", "instance_id", "state", "tries", "sendings", "message_id", "message_ids"] as const),
  ...(["started_at", "finished_at", "cost_nano", "error", "structured", "simulated"] as const),
];
const STEP = COLUMNS.join(", ");

/** The messages of steps as deliveries. Every try of a step has a message of its own, and `sendings` counts how often that was sent. */
export const SENDINGS: DeliveryTable = { name: "step", key: ["n"], columns: COLUMNS, due: "due_at", tries: "sendings" };

export const SENDING_POLICY: DeliveryPolicy = {
  firstMs: 5_000,
  factor: 2,
  ceilingMs: 60_000,
  leaseMs: 5_000,
  atOnce: 64,
};

export interface StepRow extends Row {
  n: number;
  key: string;
  kind: StepKind;
  instance_id: string;
  state: StepState;
  tries: number;
  sendings: number;
  message_id: string | null;
  message_ids: string;
  started_at: number;
  finished_at: number | null;
  cost_nano: number;
  error: string | null;
  structured: string | null;
  simulated: number;
}

export function stepRows(sql: SqlStorage): StepRow[] {
  return sql.exec<StepRow>(`SELECT ${STEP} FROM step ORDER BY n`).toArray();
}

/** The steps as a strategy sees them. */
export function stepsOf(rows: readonly StepRow[]): Steps {
  return new Map(
    rows.map((row): [string, StepView] => [
      row.key,
      {
        key: row.key,
        kind: row.kind,
        instance_id: row.instance_id,
        state: row.state,
        structured: row.structured === null ? null : (JSON.parse(row.structured) as unknown),
        error: row.error === null ? null : (JSON.parse(row.error) as Failure),
      },
    ]),
  );
}

export function stepOf(sql: SqlStorage, n: number): StepRow | undefined {
  return first<StepRow>(sql, `SELECT ${STEP} FROM step WHERE n = ?`, n);
}

export function stepOfMessage(sql: SqlStorage, messageId: string): StepRow | undefined {
  return first<StepRow>(sql, `SELECT ${STEP} FROM step WHERE message_id = ?`, messageId);
}

/** The text of a completed step's answer. */
export function outputOf(sql: SqlStorage, key: string): string {
  return first<{ output: string | null }>(sql, "SELECT output FROM step WHERE key = ?", key)?.output ?? "";
}

export function hasOpen(sql: SqlStorage, state?: "queued"): boolean {
  const which = state === "queued" ? "state = 'queued'" : "state IN ('queued', 'running')";
  return first(sql, `SELECT 1 AS one FROM step WHERE ${which} LIMIT 1`) !== undefined;
}

export function begin(tx: Tx, spec: JobSpec, steps: readonly NewStep[], now: number): void {
  const deadline = now + spec.options.step_timeout_seconds * 1000;
  for (const { key, kind, instance_id, skip } of steps) {
    tx.exec(
      `INSERT INTO step (key, kind, instance_id, state, started_at, due_at, deadline, finished_at, error)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      key,
      kind,
      instance_id,
      skip ? "skipped" : "queued",
      now,
      skip ? null : now,
      skip ? null : deadline,
      skip ? now : null,
      skip ? JSON.stringify(skip) : null,
    );
    note(tx, now, skip ? "job.step_skipped" : "job.step_started", { step: key, instance_id });
  }
}

/** The instance has accepted the message of this try. Returns the row as it is now, or null when the step is no longer open. */
export function sent(tx: Tx, asked: StepRow, messageId: string): StepRow | null {
  const row = stepOf(tx, asked.n);
  if (row?.state !== "queued" || row.tries !== asked.tries) return null;
  tx.exec(
    "UPDATE step SET state = 'running', due_at = NULL, message_id = ?, message_ids = json_insert(message_ids, '$[#]', ?) WHERE n = ?",
    messageId,
    messageId,
    row.n,
  );
  return { ...row, state: "running", message_id: messageId };
}

/** Applies an outcome to an open step. Returns whether anything changed. */
export function settle(tx: Tx, step: StepRow, outcome: Outcome, now: number): boolean {
  switch (outcome.kind) {
    case "open":
      return false;
    case "retry":
      tx.exec(
        `UPDATE step SET state = 'queued', tries = tries + 1, sendings = 0, due_at = ?, message_id = NULL,
           cost_nano = cost_nano + ? WHERE n = ?`,
        now,
        outcome.costNano,
        step.n,
      );
      note(tx, now, "job.step_retried", { step: step.key, instance_id: step.instance_id });
      return true;
    case "completed":
      close(tx, step, "completed", outcome.costNano, null, now);
      tx.exec(
        "UPDATE step SET structured = ?, output = ?, simulated = ? WHERE n = ?",
        outcome.structured === null ? null : JSON.stringify(outcome.structured),
        cut(outcome.text),
        outcome.simulated ? 1 : 0,
        step.n,
      );
      return true;
    case "failed":
      close(tx, step, "failed", outcome.costNano, outcome.error, now);
      if (outcome.recall) recall(tx, step, outcome.error.message, now);
      return true;
  }
}

/** Fails every open step that is past its deadline. Returns whether there was one. */
export function expire(tx: Tx, spec: JobSpec, now: number): boolean {
  const late = tx.exec<StepRow>(`SELECT ${STEP} FROM step WHERE deadline <= ?`, now).toArray();
  const seconds = spec.options.step_timeout_seconds;
  const error: Failure = {
    code: "limit_reached",
    message: `The step took longer than step_timeout_seconds (${seconds}) and was stopped.`,
    details: { limit: "step_timeout_seconds", seconds },
  };
  for (const step of late) settle(tx, step, { kind: "failed", error, costNano: 0, recall: true }, now);
  return late.length > 0;
}

/** Stops every open step. */
export function stopAll(tx: Tx, reason: string, now: number): void {
  const error: Failure = { code: "cancelled", message: `The job was cancelled: ${reason}.` };
  for (const step of tx.exec<StepRow>(`SELECT ${STEP} FROM step WHERE deadline IS NOT NULL`).toArray()) {
    close(tx, step, "skipped", 0, error, now);
    recall(tx, step, reason, now);
  }
}

/** The earliest deadline of an open step, in ms since the epoch, or null. */
export function nextDeadline(sql: SqlStorage): number | null {
  const query = "SELECT deadline AS at FROM step WHERE deadline IS NOT NULL ORDER BY deadline LIMIT 1";
  return first<{ at: number }>(sql, query)?.at ?? null;
}

function close(
  tx: Tx,
  step: StepRow,
  state: "completed" | "failed" | "skipped",
  costNano: number,
  error: Failure | null,
  now: number,
): void {
  tx.exec(
    `UPDATE step SET state = ?, due_at = NULL, deadline = NULL, finished_at = ?, cost_nano = cost_nano + ?, error = ?
     WHERE n = ?`,
    state,
    now,
    costNano,
    error ? JSON.stringify(error) : null,
    step.n,
  );
  note(tx, now, `job.step_${state}`, {
    step: step.key,
    instance_id: step.instance_id,
    message_id: step.message_id,
    ...(error ? { error: error.code } : {}),
  });
}

/** Has the message of a step cancelled, even when it is unknown whether the message ever arrived. */
function recall(tx: Tx, step: StepRow, reason: string, now: number): void {
  if (step.message_id !== null) enqueue(tx, "cancel", step.message_id, reason, now);
  else enqueue(tx, "recall", String(step.n), reason, now);
}

function cut(text: string): string {
  if (text.length <= MAX_OUTPUT_CHARACTERS) return text;
  const rest = text.length - MAX_OUTPUT_CHARACTERS;
  return `${text.slice(0, MAX_OUTPUT_CHARACTERS).toWellFormed()}\n[${rest} more characters were cut off]`;
}
