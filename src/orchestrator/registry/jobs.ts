import type { JobReport, JobSpec, JobState, Member } from "../../contracts/job.ts";
import type { CoordinateRequest, JobQuery } from "../../contracts/orchestrator.ts";
import type { JobPage, JobReceipt, JobRecord } from "../../contracts/records.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import { err, type Failure, ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { newJobId } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { deleteBalance, openBalance, scopesOf } from "../budget/ledger.ts";
import { recordCall } from "../store/audit-record.ts";
import { logEvent, logEvents } from "../store/event-log.ts";
import { rowOf } from "../store/instance-rows.ts";
import { changeLimits, deleteLimits } from "../store/limits.ts";
import { callerOf, dequeueAll, enqueue } from "../store/outbox.ts";

/**
 * Commits a job, or returns why not: `invalid_input` for a coordinator among the participants or a participant named twice,
 * `not_found`, `conflict` for a member that is terminated, `forbidden` for one that is not below the instance that asks.
 */
export function coordinate(tx: Tx, request: CoordinateRequest, now: number): Result<JobReceipt> {
  const known = recall<JobReceipt>(tx, request.idempotency);
  if (known) return known;
  const { coordinator_id, participant_ids } = request;
  const twice = participant_ids.find((id, i) => participant_ids.indexOf(id) !== i);
  if (twice !== undefined) return misnamed(`participant_ids names ${twice} twice.`, twice);
  if (participant_ids.includes(coordinator_id)) {
    return misnamed(
      `The coordinator ${coordinator_id} is among the participants. Leave it out there, or let another instance coordinate.`,
      coordinator_id,
    );
  }
  const members: Member[] = [];
  for (const id of [coordinator_id, ...participant_ids]) {
    const member = memberOf(tx, id, id === coordinator_id ? "The coordinator" : "The participant", request.creator);
    if (!member.ok) return member;
    members.push(member.value);
  }
  const [coordinator, ...participants] = members;
  if (!coordinator) throw new Error("A job has a coordinator.");
  const jobId = newJobId(now);
  const spec: JobSpec = {
    v: 1,
    job_id: jobId,
    tenant: request.tenant,
    type: request.type,
    task: request.task,
    coordinator,
    participants,
    options: request.options,
    ...(request.trace ? { trace: request.trace } : {}),
    created_at: now,
  };
  tx.exec(
    `INSERT INTO job (job_id, type, coordinator_id, participants, creator, within_job, spec, created_at, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued')`,
    jobId,
    spec.type,
    coordinator_id,
    JSON.stringify(participant_ids),
    request.creator,
    request.within_job,
    JSON.stringify(spec),
    now,
  );
  openBalance(tx, jobId);
  if (request.max_cost !== null) changeLimits(tx, jobId, { max_cost: request.max_cost });
  logEvent(tx, jobId, 0, now, "job.created", {
    type: spec.type,
    coordinator_id,
    participants: participants.length,
    created_by: request.creator,
  });
  recordCall(tx, request.audit, jobId, now);
  enqueue(tx, jobId, "wake", now);
  const receipt = { job_id: jobId, created_at: new Date(now).toISOString() };
  return remember(tx, request.idempotency, ok(receipt), now);
}

function memberOf(sql: SqlStorage, id: string, as: string, creator: string | null): Result<Member> {
  const row = rowOf(sql, id);
  if (!row) return unknownInstance(id, as);
  if (!row.active) {
    return err("conflict", `${as} ${id} is terminated and takes no messages. Name one that is active.`, {
      instance_id: id,
      state: "terminated",
    });
  }
  if (creator !== null && !scopesOf(sql, id).includes(creator)) {
    return err("forbidden", `${as} ${id} is not below you: you can coordinate your own descendants.`, {
      instance_id: id,
    });
  }
  return ok({ instance_id: id, name: row.name, role: row.role });
}

function misnamed(message: string, instanceId: string): Result<never> {
  return err("invalid_input", message, { field: "participant_ids", instance_id: instanceId });
}

/** What a job copies on its first use; null when there is no such job, or when it is over and its object has been emptied. */
export function jobFirstUse(sql: SqlStorage, jobId: string): JobSpec | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM job WHERE job_id = ? AND finished_at IS NULL", jobId);
  return row ? (JSON.parse(row.spec) as JobSpec) : null;
}

/** Applies a report of a job to its row and the event log. Repeating it changes nothing. */
export function applyJob(tx: Tx, report: JobReport, retentionDays: number): void {
  const row = first<{ report_seq: number }>(tx, "SELECT report_seq FROM job WHERE job_id = ?", report.job_id);
  if (!row || report.seq <= row.report_seq) return;
  logEvents(
    tx,
    report.job_id,
    report.events.filter((event) => event.seq > row.report_seq),
  );
  tx.exec(
    `UPDATE job SET report_seq = ?, state = ?, started_at = ?, finished_at = ?, steps_done = ?, steps_total = ?, error = ?,
         kept_until = ? WHERE job_id = ?`,
    report.seq,
    report.state,
    report.started_at,
    report.finished_at,
    report.steps_done,
    report.steps_total,
    report.error ? JSON.stringify(report.error) : null,
    report.finished_at === null ? null : wholeDay(report.finished_at + retentionDays * DAY_MS),
    report.job_id,
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** The end of the day (UTC), so that what is due on a day goes together and wakes the Orchestrator once. */
function wholeDay(time: number): number {
  return Math.ceil(time / DAY_MS) * DAY_MS;
}

/** The open jobs that were started by one of these instances. */
export function openJobsOf(sql: SqlStorage, creators: readonly string[]): string[] {
  return sql
    .exec<{ job_id: string }>(
      "SELECT job_id FROM job WHERE finished_at IS NULL AND creator IN (SELECT value FROM json_each(?))",
      JSON.stringify(creators),
    )
    .toArray()
    .map((row) => row.job_id);
}

/** Why a job can't be deleted, or null: `not_found`, `conflict` while it, or one that its cap binds, is open. */
export function eraseJobRefusal(sql: SqlStorage, jobId: string): Result<never> | null {
  const row = first<{ state: string; finished_at: number | null }>(
    sql,
    "SELECT state, finished_at FROM job WHERE job_id = ?",
    jobId,
  );
  if (!row) return err("not_found", `There is no job ${jobId}.`, { job_id: jobId });
  if (row.finished_at === null) {
    return err("conflict", `The job ${jobId} is ${row.state}. Cancel it, or wait until it is over, then delete it.`, {
      job_id: jobId,
      status: row.state,
    });
  }
  const within = first<{ job_id: string }>(
    sql,
    "SELECT job_id FROM job WHERE finished_at IS NULL AND within_job = ? LIMIT 1",
    jobId,
  );
  if (!within) return null;
  return err("conflict", `The job ${within.job_id} was started within ${jobId}, whose cap binds it, and is not over.`, {
    job_id: jobId,
    within: within.job_id,
  });
}

/** The end of the next retention of a job, in ms since the epoch, or null. */
export function nextOutlivedJob(sql: SqlStorage): number | null {
  const next = "SELECT kept_until AS at FROM job WHERE kept_until IS NOT NULL ORDER BY kept_until LIMIT 1";
  return first<{ at: number }>(sql, next)?.at ?? null;
}

/** Has up to a hundred jobs deleted whose retention is over. One that can't be deleted yet is checked again a day later. */
export function outliveJobs(tx: Tx, now: number): void {
  const due = tx.exec<{ job_id: string }>("SELECT job_id FROM job WHERE kept_until <= ? LIMIT 100", now).toArray();
  if (due.length === 0) return;
  for (const { job_id } of due) {
    const stays = eraseJobRefusal(tx, job_id) !== null;
    tx.exec("UPDATE job SET kept_until = ? WHERE job_id = ?", stays ? wholeDay(now + 1) : null, job_id);
    if (!stays) enqueue(tx, job_id, "erase", now);
  }
}

/** Removes a job whose object is empty from the registry. Its spending stays in the ledger and in the totals. */
export function removeJob(tx: Tx, jobId: string, now: number): void {
  const asked = callerOf(tx, jobId, "erase");
  if (tx.exec("DELETE FROM job WHERE job_id = ? RETURNING job_id", jobId).toArray().length === 0) return;
  deleteLimits(tx, jobId);
  deleteBalance(tx, jobId);
  dequeueAll(tx, jobId);
  logEvent(tx, jobId, 0, now, "job.deleted", {});
  recordCall(tx, asked, jobId, now);
}

interface JobRow extends Row {
  job_id: string;
  type: string;
  state: JobState;
  coordinator_id: string;
  participants: string;
  creator: string | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  steps_done: number;
  steps_total: number;
  error: string | null;
  settled_nano: number | null;
  unsettled_nano: number | null;
  max_cost_nano: number | null;
}

/** A job's row, without its spec, which can be large, and with its money. */
const RECORD = `SELECT job_id, type, state, coordinator_id, participants, creator, created_at, started_at, finished_at,
  steps_done, steps_total, error, settled_nano, unsettled_nano, max_cost_nano
  FROM job LEFT JOIN balance ON balance.scope = job_id LEFT JOIN limits ON limits.scope = job_id`;

export function jobRecord(sql: SqlStorage, jobId: string): JobRecord | null {
  const row = first<JobRow>(sql, `${RECORD} WHERE job_id = ?`, jobId);
  return row ? recordOf(row) : null;
}

/** One page of jobs in the order of their creation. */
export function listJobs(sql: SqlStorage, query: JobQuery): JobPage {
  const rows = sql
    .exec<JobRow>(
      `${RECORD} WHERE job_id > ? ${query.state === undefined ? "" : "AND state = ?"} ORDER BY job_id LIMIT ?`,
      query.cursor ?? "",
      ...(query.state === undefined ? [] : [query.state]),
      query.limit + 1,
    )
    .toArray();
  const page = rows.slice(0, query.limit);
  return {
    jobs: page.map(recordOf),
    next_cursor: rows.length > page.length ? (page.at(-1)?.job_id ?? null) : null,
  };
}

function recordOf(row: JobRow): JobRecord {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  const usd = (nano: number | null) => (nano ?? 0) / NANO_PER_USD;
  return {
    job_id: row.job_id,
    type: row.type,
    status: row.state,
    coordinator_id: row.coordinator_id,
    participant_ids: JSON.parse(row.participants) as string[],
    created_by: row.creator,
    created_at: new Date(row.created_at).toISOString(),
    started_at: iso(row.started_at),
    finished_at: iso(row.finished_at),
    steps_done: row.steps_done,
    steps_total: row.steps_total,
    cost: usd((row.settled_nano ?? 0) + (row.unsettled_nano ?? 0)),
    unsettled_cost: usd(row.unsettled_nano),
    max_cost: row.max_cost_nano === null ? null : usd(row.max_cost_nano),
    ...(row.error === null ? {} : { error: JSON.parse(row.error) as Failure }),
  };
}
