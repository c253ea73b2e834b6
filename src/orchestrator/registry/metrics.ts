/**
 * The metrics of a tenant: counted as things happen, never summed over rows.
 */

import type { Metrics } from "../../contracts/records.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import type { BalanceRow } from "../budget/ledger.ts";
import { BUCKETS_MS, parseCounters, responseTimes } from "../store/counters.ts";
import { type TenantRow, tenantRow } from "../store/tenant-row.ts";
import { successRate } from "./status.ts";

type Balance = Pick<BalanceRow, "settled_nano" | "unsettled_nano" | "reserved_nano">;

/** The state of the concurrency limiter. */
export interface LimiterView {
  running: number;
  allowed: number;
  queued: number;
  blockedUntil: number;
}

export function metricsOf(sql: SqlStorage, limiter: LimiterView): Metrics {
  const balance = sql
    .exec<Balance>("SELECT settled_nano, unsettled_nano, reserved_nano FROM balance WHERE scope = 'tenant'")
    .one();
  return metricsFrom(tenantRow(sql), balance, limiter);
}

/** The metrics, from their rows. Pure. */
export function metricsFrom(totals: TenantRow, balance: Balance, limiter: LimiterView): Metrics {
  // Deleted instances are in no list, and were created all the same.
  const created = totals.total_instances + totals.deleted_instances;
  const counters = parseCounters(totals.counters);
  const completed = counters.times.reduce((sum, count) => sum + count, 0);
  const failed = Object.values(counters.errors).reduce((sum, count) => sum + count, 0);
  return {
    instances_created: created,
    instances_active: totals.active_instances,
    instances_terminated: created - totals.active_instances,
    messages_completed: completed,
    messages_failed: failed,
    success_rate: successRate({ completed_count: completed, error_count: failed }),
    response_ms: {
      ...responseTimes(counters),
      sum: counters.sum_ms,
      buckets: counters.times.map((count, i) => ({ up_to_ms: BUCKETS_MS[i] ?? null, count })),
    },
    errors: counters.errors,
    tokens: {
      input: totals.tokens_input,
      output: totals.tokens_output,
      cache_read: totals.tokens_cache_read,
      cache_write: totals.tokens_cache_write,
    },
    cost: {
      settled: balance.settled_nano / NANO_PER_USD,
      unsettled: balance.unsettled_nano / NANO_PER_USD,
      reserved: balance.reserved_nano / NANO_PER_USD,
    },
    bound_violations: totals.bound_violations,
    gate: {
      running: limiter.running,
      allowed: limiter.allowed,
      held: limiter.queued,
      blocked_until: limiter.blockedUntil,
    },
  };
}

/** The metrics in Prometheus' text format. */
export function prometheus(metrics: Metrics): string {
  const lines: string[] = [];
  const add = (name: string, type: string, help: string, values: readonly [labels: string, value: number][]) => {
    lines.push(`# HELP madrox_${name} ${help}`, `# TYPE madrox_${name} ${type}`);
    for (const [labels, value] of values) lines.push(`madrox_${name}${labels} ${value}`);
  };
  add("instances_created_total", "counter", "Instances spawned.", [["", metrics.instances_created]]);
  add("instances_active", "gauge", "Instances that are not terminated.", [["", metrics.instances_active]]);
  add("instances_terminated_total", "counter", "Instances terminated.", [["", metrics.instances_terminated]]);
  add("messages_completed_total", "counter", "Messages with a final response.", [["", metrics.messages_completed]]);
  add(
    "messages_failed_total",
    "counter",
    "Messages that failed or were refused, by error code.",
    Object.entries(metrics.errors).map(([code, value]) => [`{code="${code}"}`, value]),
  );
  let seen = 0;
  add("response_seconds", "histogram", "From the start of a turn to its response.", [
    ...metrics.response_ms.buckets
      .filter((bucket) => bucket.up_to_ms !== null)
      .map((bucket): [string, number] => {
        seen += bucket.count;
        return [`_bucket{le="${Number(bucket.up_to_ms) / 1000}"}`, seen];
      }),
    ['_bucket{le="+Inf"}', metrics.messages_completed],
    ["_sum", metrics.response_ms.sum / 1000],
    ["_count", metrics.messages_completed],
  ]);
  add(
    "tokens_total",
    "counter",
    "Tokens as the API counted them.",
    Object.entries(metrics.tokens).map(([kind, value]) => [`{kind="${kind}"}`, value]),
  );
  add("cost_usd", "gauge", "Spent and reserved, at list prices.", [
    ['{state="settled"}', metrics.cost.settled],
    ['{state="unsettled"}', metrics.cost.unsettled],
    ['{state="reserved"}', metrics.cost.reserved],
  ]);
  add("reservation_violations_total", "counter", "Calls that took more than their bound. Has to stay 0.", [
    ["", metrics.bound_violations],
  ]);
  add("model_calls_running", "gauge", "Model calls under way.", [["", metrics.gate.running]]);
  add("model_calls_allowed", "gauge", "Model calls that may run at once.", [["", metrics.gate.allowed]]);
  return `${lines.join("\n")}\n`;
}
