/**
 * The tables `job` and `event`: the state of a job, and what it reports to the registry.
 */

import type { InstanceEvent } from "../contracts/instance-spec.ts";
import type { JobReport, JobSpec, JobState } from "../contracts/job.ts";
import type { DeliveryPolicy, DeliveryTable } from "../platform/delivery.ts";
import type { Failure } from "../platform/errors.ts";
import { first, type Row } from "../platform/sqlite.ts";
import type { Tx } from "../platform/transaction.ts";
import { markAllDue } from "./outbox.ts";
import type { StepView } from "./strategies/strategy.ts";

export interface JobRow extends Row {
  state: JobState;
  started_at: number;
  finished_at: number | null;
  error: string | null;
  reported_seq: number;
  report_due: number | null;
}

/** Undefined before the first use. */
export function jobRow(sql: SqlStorage): JobRow {
  return sql.exec<JobRow>("SELECT state, started_at, finished_at, error, reported_seq, report_due FROM job").one();
}

/** Stores the spec: from here on the job runs. */
export function open(tx: Tx, spec: JobSpec, now: number): void {
  tx.exec(
    "INSERT INTO job (id, spec, state, started_at, report_due) VALUES (1, ?, 'running', ?, ?)",
    JSON.stringify(spec),
    now,
    now,
  );
  note(tx, now, "job.started", { type: spec.type, participants: spec.participants.length });
}

export function storedSpec(sql: SqlStorage): JobSpec | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM job");
  return row ? (JSON.parse(row.spec) as JobSpec) : null;
}

/** The final state of a job that was not cancelled: all steps completed, some did, or it failed. Pure. */
export function endOf(steps: Iterable<StepView>, error: Failure | undefined): Exclude<JobState, "queued" | "running"> {
  if (error) return "failed";
  for (const step of steps) if (step.state === "failed" || step.state === "skipped") return "partial";
  return "completed";
}

/** Ends the job. */
export function end(tx: Tx, state: JobState, error: Failure | null, now: number): void {
  tx.exec("UPDATE job SET state = ?, finished_at = ?, error = ?", state, now, error ? JSON.stringify(error) : null);
  note(tx, now, `job.${state}`, error ? { error: error.code } : {});
  markAllDue(tx, now);
}

/** Appends an event. Ids, counts and codes, never content. */
export function note(tx: Tx, at: number, kind: string, data: InstanceEvent["data"]): void {
  tx.exec("INSERT INTO event (at, kind, data) VALUES (?, ?, ?)", at, kind, JSON.stringify(data));
}

/** Reports to the registry as deliveries: the job's row says when the next one is due. */
export const REPORTS: DeliveryTable = { name: "job", key: ["id"], columns: [], due: "report_due", tries: null };

export const REPORT_POLICY: DeliveryPolicy = {
  firstMs: 5_000,
  factor: 1,
  ceilingMs: 5_000,
  leaseMs: 5_000,
  atOnce: 1,
};

/** Events per report. */
const MAX_EVENTS = 500;

/** What the registry has not confirmed yet, or null. */
export function reportOf(sql: SqlStorage, jobId: string): JobReport | null {
  const row = jobRow(sql);
  const events = sql
    .exec<{ seq: number; at: number; kind: string; data: string }>(
      "SELECT seq, at, kind, data FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
      row.reported_seq,
      MAX_EVENTS,
    )
    .toArray()
    .map((event): InstanceEvent => ({ ...event, data: JSON.parse(event.data) }));
  const last = events.at(-1);
  if (!last) return null;
  const steps = sql
    .exec<{ done: number; total: number }>(
      "SELECT COUNT(*) AS total, COALESCE(SUM(state NOT IN ('queued', 'running')), 0) AS done FROM step",
    )
    .one();
  return {
    job_id: jobId,
    seq: last.seq,
    state: row.state,
    started_at: row.started_at,
    finished_at: row.finished_at,
    steps_done: steps.done,
    steps_total: steps.total,
    error: row.error === null ? null : (JSON.parse(row.error) as Failure),
    events,
  };
}

/** Sets when to report next, in ms since the epoch; null: there is nothing to report. */
export function reportAt(tx: Tx, time: number | null): void {
  tx.exec("UPDATE job SET report_due = ?", time);
}

/** The registry has confirmed every event up to `seq`. */
export function confirm(tx: Tx, seq: number): void {
  tx.exec("UPDATE job SET reported_seq = MAX(reported_seq, ?)", seq);
}
