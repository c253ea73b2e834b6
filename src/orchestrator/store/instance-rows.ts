/**
 * The table `instance`: one row per instance, and the row is the instance. Nothing else writes it.
 */
import type { InstanceState, Report } from "../../contracts/instance-spec.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

export interface InstanceRow extends Row {
  instance_id: string;
  name: string;
  role: string;
  model: string;
  parent_id: string | null;
  depth: number;
  state: InstanceState;
  active: number;
  created_at: number;
  terminated_at: number | null;
  termination_reason: string | null;
  report_seq: number;
  event_seq: number;
  waiting_reason: string | null;
  waiting_until: number | null;
  last_activity: number;
  queue_depth: number;
  request_count: number;
  completed_count: number;
  error_count: number;
  response_ms_total: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  cost_nano: number;
  unsettled_nano: number;
  counters: string | null;
  error_message: string | null;
  simulated: number;
  open_questions: number;
  unhealthy: string | null;
}

/** The columns of `InstanceRow`. */
export const INSTANCE_COLUMNS = `instance_id, name, role, model, parent_id, depth, state, active, created_at, terminated_at,
  termination_reason, report_seq, event_seq, waiting_reason, waiting_until, last_activity, queue_depth, request_count,
  completed_count, error_count, response_ms_total, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
  cost_nano, unsettled_nano, counters, error_message, simulated, open_questions, unhealthy`;

export function rowOf(sql: SqlStorage, instanceId: string): InstanceRow | undefined {
  return first<InstanceRow>(sql, `SELECT ${INSTANCE_COLUMNS} FROM instance WHERE instance_id = ?`, instanceId);
}

/** The ids that a query of the column `instance_id` finds. */
export function instanceIds(sql: SqlStorage, query: string, ...values: SqlStorageValue[]): string[] {
  return sql
    .exec<{ instance_id: string }>(query, ...values)
    .toArray()
    .map((row) => row.instance_id);
}

/** What a row has from its spawn on. Times in ms since the epoch. */
export interface SpawnedInstance {
  instanceId: string;
  name: string;
  role: string;
  model: string;
  parentId: string | null;
  depth: number;
  /** Its ancestors, topmost first. */
  path: readonly string[];
  /** Its idle deadline while it is never used. */
  unusedUntil: number;
  state: "initializing" | "idle";
  /** The instance in whose files it works; null: its own. */
  workspaceOwner: string | null;
  /** Its calls can cost more than was reserved. */
  soft: boolean;
  simulated: boolean;
}

export function insertInstance(tx: Tx, instance: SpawnedInstance, now: number): void {
  tx.exec(
    `INSERT INTO instance (instance_id, name, role, model, parent_id, depth, path, unused_until, state, active,
       workspace_owner, soft, simulated, created_at, last_activity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
    instance.instanceId,
    instance.name,
    instance.role,
    instance.model,
    instance.parentId,
    instance.depth,
    JSON.stringify(instance.path),
    instance.unusedUntil,
    instance.state,
    instance.workspaceOwner,
    instance.soft ? 1 : 0,
    instance.simulated ? 1 : 0,
    now,
    now,
  );
}

/** It is used from now on: it watches its idle time itself. */
export function markUsed(tx: Tx, instanceId: string): void {
  tx.exec("UPDATE instance SET unused_until = NULL WHERE instance_id = ? AND unused_until IS NOT NULL", instanceId);
}

/** Its idle deadline, while it is never used, is later. */
export function putOffIdleDeadline(tx: Tx, instanceId: string, until: number): void {
  tx.exec("UPDATE instance SET unused_until = ? WHERE instance_id = ?", until, instanceId);
}

/** Shows that a model call of it waits, or (null) no longer. Its next report says more. */
export function showWaiting(tx: Tx, instanceId: string, reason: string | null): void {
  tx.exec(
    "UPDATE instance SET state = ?, waiting_reason = ?, waiting_until = NULL WHERE instance_id = ? AND active = 1",
    reason === null ? "busy" : "waiting",
    reason,
    instanceId,
  );
}

/** What the registry knows by an instance's events: the newest sequence, and the counters (counters.ts) as JSON. */
export interface EventsSeen {
  eventSeq: number;
  counters: string | null;
}

/** Takes over the newest report. */
export function updateFromReport(
  tx: Tx,
  { instance_id, seq, snapshot }: Report,
  { eventSeq, counters }: EventsSeen,
): void {
  tx.exec(
    `UPDATE instance SET report_seq = ?, event_seq = ?, counters = ?, state = CASE active WHEN 1 THEN ? ELSE state END,
       waiting_reason = ?, waiting_until = ?, last_activity = ?, queue_depth = ?, request_count = ?, completed_count = ?,
       error_count = ?, response_ms_total = ?, tokens_input = ?, tokens_output = ?, tokens_cache_read = ?,
       tokens_cache_write = ?, error_message = ?, simulated = ?, unhealthy = ?
     WHERE instance_id = ?`,
    seq,
    eventSeq,
    counters,
    snapshot.state,
    snapshot.waiting_for?.reason ?? null,
    snapshot.waiting_for?.until ?? null,
    snapshot.last_activity,
    snapshot.queue_depth,
    snapshot.request_count,
    snapshot.completed_count,
    snapshot.error_count,
    snapshot.response_ms_total,
    snapshot.tokens.input,
    snapshot.tokens.output,
    snapshot.tokens.cache_read,
    snapshot.tokens.cache_write,
    snapshot.error_message,
    snapshot.simulated ? 1 : 0,
    snapshot.unhealthy ? JSON.stringify(snapshot.unhealthy) : null,
    instance_id,
  );
}

/** Takes over the events of a report that a newer one has overtaken. */
export function updateFromEvents(tx: Tx, instanceId: string, { eventSeq, counters }: EventsSeen): void {
  tx.exec("UPDATE instance SET event_seq = ?, counters = ? WHERE instance_id = ?", eventSeq, counters, instanceId);
}

export function setOpenQuestions(tx: Tx, instanceId: string, count: number): void {
  tx.exec("UPDATE instance SET open_questions = ? WHERE instance_id = ?", count, instanceId);
}

/** A call of it has cost so much, in nano-USD. */
export function addCost(tx: Tx, instanceId: string, settled: number, unsettled: number): void {
  tx.exec(
    "UPDATE instance SET cost_nano = cost_nano + ?, unsettled_nano = unsettled_nano + ? WHERE instance_id = ?",
    settled,
    unsettled,
    instanceId,
  );
}

/** `keptUntil`: the end of its retention. */
export function markTerminated(tx: Tx, instanceId: string, reason: string, keptUntil: number, now: number): void {
  tx.exec(
    `UPDATE instance SET state = 'terminated', active = 0, unused_until = NULL, kept_until = ?, terminated_at = ?,
       termination_reason = ?, last_activity = ?, queue_depth = 0, open_questions = 0 WHERE instance_id = ?`,
    keptUntil,
    now,
    reason,
    now,
    instanceId,
  );
}

/** Its retention is over. */
export function endRetention(tx: Tx, instanceId: string): void {
  tx.exec("UPDATE instance SET kept_until = NULL WHERE instance_id = ?", instanceId);
}

/** Deletes the row of one that is terminated. */
export function deleteInstance(tx: Tx, instanceId: string): void {
  tx.exec("DELETE FROM instance WHERE instance_id = ? AND active = 0", instanceId);
}
