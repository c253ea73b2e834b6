/**
 * The report to the registry: the instance's events and a snapshot, made from its rows.
 */

import type { Report, Snapshot } from "../../contracts/instance-spec.ts";
import type { EffectiveLimits } from "../../contracts/orchestrator.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { emit, hasUnreported, unreportedEvents } from "../store/events.ts";
import { confirmReported, healthOf, type InstanceRow, instanceRow } from "../store/instance-row.ts";
import { suspendedUntil } from "../store/tool-calls.ts";
import { turnOf } from "../store/turns.ts";
import { openQuestions } from "../turn/questions.ts";
import { judgeHealth } from "./health.ts";

/** Judges the instance's recent model calls; a changed verdict is an event. */
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
  const events = unreportedEvents(sql, MAX_EVENTS);
  const last = events.at(-1);
  const instance = instanceRow(sql);
  if (!last || !instance) return null;
  return {
    instance_id: instanceId,
    seq: last.seq,
    snapshot: snapshotOf(sql, instance),
    questions: openQuestions(sql, instanceId),
    events,
  };
}

/** The registry has everything up to `seq`, and returned the effective limits. Returns whether there is more to report. */
export function confirm(sql: SqlStorage, seq: number, limits: EffectiveLimits | null): boolean {
  confirmReported(sql, seq, limits);
  return hasUnreported(sql);
}

function snapshotOf(sql: SqlStorage, instance: InstanceRow): Snapshot {
  const turn = instance.open_n === null ? undefined : turnOf(sql, instance.open_n);
  const waiting = turn?.waiting_reason
    ? { reason: turn.waiting_reason, until: turn.not_before ?? suspendedUntil(sql, turn.n) }
    : null;
  const resting =
    instance.queued > 0 && instance.lifecycle === "active"
      ? "busy"
      : instance.error_message === null
        ? "idle"
        : "error";
  return {
    state: turn ? (turn.paused ? "paused" : waiting ? "waiting" : "busy") : resting,
    waiting_for: waiting,
    queue_depth: instance.queued,
    completed_count: instance.completed_count,
    error_count: instance.error_count,
    request_count: instance.request_count,
    response_ms_total: instance.response_ms_total,
    tokens: {
      input: instance.tokens_input,
      output: instance.tokens_output,
      cache_read: instance.tokens_cache_read,
      cache_write: instance.tokens_cache_write,
    },
    last_activity: instance.last_activity,
    error_message: instance.error_message,
    simulated: instance.simulated === 1,
    unhealthy: healthOf(sql),
  };
}
