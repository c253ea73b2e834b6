/**
 * The row `self`: what an instance knows of itself, and the events and snapshot that it reports to the registry.
 */
import type { Standing } from "../orchestrator/api.ts";
import { first, type Row } from "../sqlite.ts";
import { healthOf, judgeHealth } from "./health.ts";
import { parkedUntil } from "./parked.ts";
import { openQuestions } from "./questions.ts";
import type { InstanceEvent, InstanceSpec, Report, Snapshot } from "./spec.ts";

/** The counters, without the spec, which can be large. */
export interface SelfRow extends Row {
  ended: 0 | 1 | 2;
  open_n: number | null;
  next_n: number;
  queued: number;
  request_count: number;
  completed_count: number;
  error_count: number;
  response_ms_total: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  cost_nano: number;
  last_activity: number;
  error_message: string | null;
  simulated: number;
  standing: string;
}

const COLUMNS = `ended, open_n, next_n, queued, request_count, completed_count, error_count, response_ms_total, tokens_input,
  tokens_output, tokens_cache_read, tokens_cache_write, cost_nano, last_activity, error_message, simulated, standing`;

/** Undefined before the first use. */
export function selfOf(sql: SqlStorage): SelfRow | undefined {
  return first<SelfRow>(sql, `SELECT ${COLUMNS} FROM self`);
}

export function storedSpec(sql: SqlStorage): InstanceSpec | null {
  const row = first<{ spec: string }>(sql, "SELECT spec FROM self");
  return row ? (JSON.parse(row.spec) as InstanceSpec) : null;
}

/** What `secrets.ts` opens; null: there are none. */
export function sealedSecrets(sql: SqlStorage): string | null {
  return first<{ secrets: string | null }>(sql, "SELECT secrets FROM self")?.secrets ?? null;
}

/** Writes an event down. Call inside the transaction of what happened, after the output rows that belong to it. */
export function emit(sql: SqlStorage, at: number, kind: string, data: InstanceEvent["data"] = {}): void {
  sql.exec(
    `INSERT INTO event (at, kind, data, output_index)
     VALUES (?, ?, ?, COALESCE((SELECT MAX(message_index) FROM output), -1))`,
    at,
    kind,
    JSON.stringify(data),
  );
}

/** Judges how the instance's calls go of late; a change is an event. */
export function checkHealth(storage: DurableObjectStorage, now: number): void {
  storage.transactionSync(() => {
    const changed = judgeHealth(storage.sql, now);
    if (changed) emit(storage.sql, now, changed.kind, changed.data);
  });
}

/** Events in one report, at most: a long absence of the registry is made up for in pieces. */
const MAX_EVENTS = 500;

/** What the registry has not confirmed yet, or null when it knows everything. */
export function reportOf(sql: SqlStorage, instanceId: string): Report | null {
  const events = sql
    .exec<{ seq: number; at: number; kind: string; data: string }>(
      "SELECT seq, at, kind, data FROM event WHERE seq > (SELECT reported_seq FROM self) ORDER BY seq LIMIT ?",
      MAX_EVENTS,
    )
    .toArray()
    .map((row): InstanceEvent => ({ seq: row.seq, at: row.at, kind: row.kind, data: JSON.parse(row.data) }));
  const last = events.at(-1);
  const self = selfOf(sql);
  if (!last || !self) return null;
  return {
    instance_id: instanceId,
    seq: last.seq,
    snapshot: snapshotOf(sql, self),
    questions: openQuestions(sql, instanceId),
    events,
  };
}

/** The registry has everything up to `seq`, and said how the instance stands. Returns whether there is more to tell it. */
export function confirm(sql: SqlStorage, seq: number, standing: Standing | null): boolean {
  sql.exec(
    "UPDATE self SET reported_seq = MAX(reported_seq, ?), standing = COALESCE(?, standing)",
    seq,
    standing ? JSON.stringify(standing) : null,
  );
  return hasUnreported(sql);
}

/** How the instance stood at its last contact with the registry. */
export function standingOf(self: SelfRow): Standing {
  return JSON.parse(self.standing) as Standing;
}

/** The number of the newest event, 0 before the first. */
export function newestEvent(sql: SqlStorage): number {
  return first<{ seq: number | null }>(sql, "SELECT MAX(seq) AS seq FROM event")?.seq ?? 0;
}

export function hasUnreported(sql: SqlStorage): boolean {
  return first(sql, "SELECT 1 AS one FROM event WHERE seq > (SELECT reported_seq FROM self) LIMIT 1") !== undefined;
}

function snapshotOf(sql: SqlStorage, self: SelfRow): Snapshot {
  const turn =
    self.open_n === null
      ? undefined
      : first<{ not_before: number | null; waiting_reason: string | null; paused: string | null }>(
          sql,
          "SELECT not_before, waiting_reason, paused FROM turn WHERE n = ?",
          self.open_n,
        );
  const waiting =
    turn?.waiting_reason && self.open_n !== null
      ? { reason: turn.waiting_reason, until: turn.not_before ?? parkedUntil(sql, self.open_n) }
      : null;
  const resting = self.queued > 0 && self.ended === 0 ? "busy" : self.error_message === null ? "idle" : "error";
  return {
    state: turn ? (turn.paused ? "paused" : waiting ? "waiting" : "busy") : resting,
    waiting_for: waiting,
    queue_depth: self.queued,
    completed_count: self.completed_count,
    error_count: self.error_count,
    request_count: self.request_count,
    response_ms_total: self.response_ms_total,
    tokens: {
      input: self.tokens_input,
      output: self.tokens_output,
      cache_read: self.tokens_cache_read,
      cache_write: self.tokens_cache_write,
    },
    last_activity: self.last_activity,
    error_message: self.error_message,
    simulated: self.simulated === 1,
    unhealthy: healthOf(sql),
  };
}
