/**
 * The instance row (table `instance`): whether the instance takes work, which turn is open, and the counters that the registry gets.
 * It is small, as every step rewrites it.
 */
import type { Unhealthy } from "../../contracts/instance-spec.ts";
import type { TokenUsage } from "../../contracts/model-call.ts";
import type { EffectiveLimits } from "../../contracts/orchestrator.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/** `finishing`: it takes no more messages, and ends with its open turn. `terminated` is final. */
export type Lifecycle = "active" | "finishing" | "terminated";

export interface InstanceRow extends Row {
  lifecycle: Lifecycle;
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
  /** JSON of `EffectiveLimits`. */
  effective_limits: string;
}

const COLUMNS = `lifecycle, open_n, next_n, queued, request_count, completed_count, error_count, response_ms_total, tokens_input,
  tokens_output, tokens_cache_read, tokens_cache_write, cost_nano, last_activity, error_message, simulated, effective_limits`;

/** Undefined before the first use. */
export function instanceRow(sql: SqlStorage): InstanceRow | undefined {
  return first<InstanceRow>(sql, `SELECT ${COLUMNS} FROM instance`);
}

/** What the registry last said of limits and money. */
export function effectiveLimits(row: InstanceRow): EffectiveLimits {
  return JSON.parse(row.effective_limits) as EffectiveLimits;
}

/** The verdict on the instance's model calls; null: healthy. */
export function healthOf(sql: SqlStorage): Unhealthy | null {
  const stored = first<{ unhealthy: string | null }>(sql, "SELECT unhealthy FROM instance")?.unhealthy;
  return stored == null ? null : (JSON.parse(stored) as Unhealthy);
}

/** The row of a fresh instance. `queued`: whether its initial prompt waits. */
export function insertInstanceRow(
  tx: Tx,
  fresh: { createdAt: number; limits: EffectiveLimits; simulated: boolean; queued: 0 | 1 },
): void {
  tx.exec(
    "INSERT INTO instance (id, next_n, queued, last_activity, effective_limits, simulated) VALUES (1, 1, ?, ?, ?, ?)",
    fresh.queued,
    fresh.createdAt,
    JSON.stringify(fresh.limits),
    fresh.simulated ? 1 : 0,
  );
}

/** Message `n` was accepted. `queued`: how many turns it asks for, 0 or 1. */
export function countAccepted(tx: Tx, n: number, queued: 0 | 1, now: number): void {
  tx.exec("UPDATE instance SET next_n = ?, queued = queued + ?, last_activity = ?", n + 1, queued, now);
}

/** A message left the queue without a turn of its own. `queued`: how many turns it had asked for. */
export function countDequeued(tx: Tx, queued: 0 | 1, now: number): void {
  tx.exec("UPDATE instance SET queued = queued - ?, last_activity = ?", queued, now);
}

/** The turn on message `n` is open: it has left the queue. */
export function setOpenTurn(tx: Tx, n: number, now: number): void {
  tx.exec("UPDATE instance SET open_n = ?, queued = queued - 1, last_activity = ?", n, now);
}

/** The open turn is closed. An instance that was to end after it has ended. */
export function clearOpenTurn(
  tx: Tx,
  closed: { completed: number; failed: number; responseMs: number; errorMessage: string | null },
  now: number,
): void {
  tx.exec(
    `UPDATE instance SET open_n = NULL, lifecycle = CASE lifecycle WHEN 'active' THEN 'active' ELSE 'terminated' END, completed_count = completed_count + ?,
       error_count = error_count + ?, response_ms_total = response_ms_total + ?, error_message = ?, last_activity = ?`,
    closed.completed,
    closed.failed,
    closed.responseMs,
    closed.errorMessage,
    now,
  );
}

/** Messages ended with an error apart from the open turn. */
export function countErrors(tx: Tx, count: number): void {
  tx.exec("UPDATE instance SET error_count = error_count + ?", count);
}

export function countModelCall(tx: Tx, now: number): void {
  tx.exec("UPDATE instance SET request_count = request_count + 1, last_activity = ?", now);
}

/** `costNano`: nano-USD. */
export function addUsage(tx: Tx, usage: TokenUsage, costNano: number, now: number): void {
  tx.exec(
    `UPDATE instance SET tokens_input = tokens_input + ?, tokens_output = tokens_output + ?, tokens_cache_read = tokens_cache_read + ?,
       tokens_cache_write = tokens_cache_write + ?, cost_nano = cost_nano + ?, last_activity = ?`,
    usage.input,
    usage.output,
    usage.cacheRead,
    usage.cacheWrite5m + usage.cacheWrite1h,
    costNano,
    now,
  );
}

/** Whether the newest model answer was the simulator's. */
export function setSimulated(tx: Tx, simulated: boolean): void {
  tx.exec("UPDATE instance SET simulated = ?", simulated ? 1 : 0);
}

/** The instance takes no more messages, and its queue is empty from now on. */
export function setLifecycle(tx: Tx, lifecycle: Exclude<Lifecycle, "active">, now: number): void {
  tx.exec("UPDATE instance SET lifecycle = ?, queued = 0, last_activity = ?", lifecycle, now);
}

/** Null: healthy. */
export function setHealth(tx: Tx, unhealthy: Unhealthy | null): void {
  tx.exec("UPDATE instance SET unhealthy = ?", unhealthy === null ? null : JSON.stringify(unhealthy));
}

/** The registry has every event up to `seq`, and returned the effective limits; null: it did not. */
export function confirmReported(sql: SqlStorage, seq: number, limits: EffectiveLimits | null): void {
  sql.exec(
    "UPDATE instance SET reported_seq = MAX(reported_seq, ?), effective_limits = COALESCE(?, effective_limits)",
    seq,
    limits ? JSON.stringify(limits) : null,
  );
}
