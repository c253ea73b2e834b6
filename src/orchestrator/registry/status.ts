/**
 * Status records: what the registry knows of an instance, computed from its row.
 */
import type { TokenCounts, Unhealthy } from "../../contracts/instance-spec.ts";
import type { Health, StatusRecord } from "../../contracts/records.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { parseCounters, responseTimes } from "../store/counters.ts";
import type { InstanceRow } from "../store/instance-rows.ts";

export function healthView(unhealthy: Unhealthy | null): Health {
  if (unhealthy === null) return { state: "healthy" };
  const { since, calls, failed } = unhealthy;
  return { state: "unhealthy", since: new Date(since).toISOString(), last_calls: { calls, failed } };
}

/** Fresh tokens: what the token totals and limits count. Cache reads are reported beside them. */
export function freshTokens(tokens: TokenCounts): number {
  return tokens.input + tokens.cache_write + tokens.output;
}

/**
 * Health in 0..1: 0.7 × the share of finished messages that completed (1 when none has finished)
 * + 0.3 when the last message did not fail. A terminated instance has 0.
 */
function healthScore(row: Pick<InstanceRow, "state" | "completed_count" | "error_count" | "active">): number {
  if (!row.active) return 0;
  return round(0.7 * successRate(row) + (row.state === "error" ? 0 : 0.3), 3);
}

/** Completed messages among those that completed or failed; 1 when there are none. */
export function successRate(row: Pick<InstanceRow, "completed_count" | "error_count">): number {
  const finished = row.completed_count + row.error_count;
  return finished === 0 ? 1 : round(row.completed_count / finished, 4);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** `now` in ms since the epoch; `prefix` is `<WORKSPACE_PREFIX>/<tenant>`. */
export function statusOf(row: InstanceRow, prefix: string, now: number): StatusRecord {
  const counters = parseCounters(row.counters);
  const tokens: TokenCounts = {
    input: row.tokens_input,
    output: row.tokens_output,
    cache_read: row.tokens_cache_read,
    cache_write: row.tokens_cache_write,
  };
  return {
    instance_id: row.instance_id,
    name: row.name,
    role: row.role,
    model: row.model,
    state: row.state,
    parent_instance_id: row.parent_id,
    created_at: new Date(row.created_at).toISOString(),
    last_activity: new Date(row.last_activity).toISOString(),
    request_count: row.request_count,
    total_tokens_used: freshTokens(tokens),
    tokens,
    total_cost: (row.cost_nano + row.unsettled_nano) / NANO_PER_USD,
    unsettled_cost: row.unsettled_nano / NANO_PER_USD,
    error_count: row.error_count,
    success_rate: successRate(row),
    response_time_ms: responseTimes(counters),
    errors: counters.errors,
    avg_response_time_ms: row.completed_count === 0 ? 0 : Math.round(row.response_ms_total / row.completed_count),
    health_score: healthScore(row),
    health: healthView(row.unhealthy === null ? null : (JSON.parse(row.unhealthy) as Unhealthy)),
    uptime_seconds: Math.max(0, Math.floor(((row.terminated_at ?? now) - row.created_at) / 1000)),
    queue_depth: row.queue_depth,
    workspace_prefix: `${prefix}/${row.instance_id}/`,
    simulated: row.simulated === 1,
    open_questions: row.open_questions,
    ...(row.waiting_reason && row.active
      ? {
          waiting_for: {
            reason: row.waiting_reason,
            until: row.waiting_until === null ? null : new Date(row.waiting_until).toISOString(),
          },
        }
      : {}),
    ...(row.termination_reason ? { termination_reason: row.termination_reason } : {}),
    ...(row.error_message ? { error_message: row.error_message } : {}),
  };
}
