/**
 * What an instance tells the registry: its events and how it stands, made from its rows.
 */

import type { InstanceEvent, Report, Snapshot } from "../../contracts/instance-spec.ts";
import type { Standing } from "../../contracts/orchestrator.ts";
import { first } from "../../platform/sqlite.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { emit, type SelfRow, selfOf } from "../store/instance-row.ts";
import { openQuestions } from "../store/questions.ts";
import { parkedUntil } from "../store/suspended-calls.ts";
import { healthOf, judgeHealth } from "./health.ts";

/** Judges how the instance's calls go of late; a change is an event. */
export function checkHealth(storage: DurableObjectStorage, now: number): void {
  inTransaction(storage, (tx) => {
    const changed = judgeHealth(tx, now);
    if (changed) emit(tx, now, changed.kind, changed.data);
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
