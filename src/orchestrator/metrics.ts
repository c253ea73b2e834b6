/**
 * Figures of a tenant: counted as things happen, never summed over rows.
 */
import type { InstanceEvent } from "../instance/spec.ts";
import type { Row } from "../sqlite.ts";
import { NANO_PER_USD } from "../units.ts";
import { successRate } from "./status.ts";

/** Upper ends of the response-time buckets, in ms; the last takes everything above. */
const BUCKETS_MS = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000];
const ABOVE = Number.MAX_SAFE_INTEGER;

/** Times in ms, money in USD. A percentile is the upper end of the bucket it falls in. */
export interface Metrics {
  instances_created: number;
  instances_active: number;
  instances_terminated: number;
  messages_completed: number;
  messages_failed: number;
  success_rate: number;
  response_ms: { mean: number; p50: number; p95: number; buckets: { up_to_ms: number | null; count: number }[] };
  errors: Record<string, number>;
  tokens: { input: number; output: number; cache_read: number; cache_write: number };
  cost: { settled: number; unsettled: number; reserved: number };
  bound_violations: number;
  gate: { running: number; allowed: number; held: number; blocked_until: number };
}

/** Takes an event into the figures. Call inside the transaction that logs it. */
export function count(sql: SqlStorage, { kind, data }: InstanceEvent): void {
  if (kind === "message.completed") {
    const ms = Number(data.duration_ms ?? 0);
    const bucket = BUCKETS_MS.find((end) => ms <= end) ?? ABOVE;
    sql.exec(
      "INSERT INTO response_time (up_to_ms, count, sum_ms) VALUES (?, 1, ?) ON CONFLICT (up_to_ms) DO UPDATE SET count = count + 1, sum_ms = sum_ms + excluded.sum_ms",
      bucket,
      ms,
    );
  }
  if (kind === "message.failed" || kind === "message.refused") {
    sql.exec(
      "INSERT INTO error_count (code, count) VALUES (?, 1) ON CONFLICT (code) DO UPDATE SET count = count + 1",
      String(data.error ?? "unknown"),
    );
  }
}

interface Totals extends Row {
  total_instances: number;
  active_instances: number;
  tokens_input: number;
  tokens_output: number;
  tokens_cache_read: number;
  tokens_cache_write: number;
  bound_violations: number;
}

export function metricsOf(
  sql: SqlStorage,
  gate: { running: number; allowed: number; held: number; blockedUntil: number },
): Metrics {
  const totals = sql.exec<Totals>("SELECT * FROM tenant").one();
  const balance = sql
    .exec<{ settled_nano: number; unsettled_nano: number; reserved_nano: number }>(
      "SELECT settled_nano, unsettled_nano, reserved_nano FROM balance WHERE scope = 'tenant'",
    )
    .one();
  const times = sql
    .exec<{ up_to_ms: number; count: number; sum_ms: number }>("SELECT * FROM response_time ORDER BY up_to_ms")
    .toArray();
  const errors = sql.exec<{ code: string; count: number }>("SELECT code, count FROM error_count").toArray();
  const completed = times.reduce((sum, bucket) => sum + bucket.count, 0);
  const failed = errors.reduce((sum, { count }) => sum + count, 0);
  const sum = times.reduce((total, bucket) => total + bucket.sum_ms, 0);
  return {
    instances_created: totals.total_instances,
    instances_active: totals.active_instances,
    instances_terminated: totals.total_instances - totals.active_instances,
    messages_completed: completed,
    messages_failed: failed,
    success_rate: successRate({ completed_count: completed, error_count: failed }),
    response_ms: {
      mean: completed === 0 ? 0 : Math.round(sum / completed),
      p50: percentile(times, completed, 0.5),
      p95: percentile(times, completed, 0.95),
      buckets: times.map((bucket) => ({
        up_to_ms: bucket.up_to_ms === ABOVE ? null : bucket.up_to_ms,
        count: bucket.count,
      })),
    },
    errors: Object.fromEntries(errors.map(({ code, count }) => [code, count])),
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
    gate: { running: gate.running, allowed: gate.allowed, held: gate.held, blocked_until: gate.blockedUntil },
  };
}

function percentile(times: readonly { up_to_ms: number; count: number }[], total: number, share: number): number {
  let seen = 0;
  for (const bucket of times) {
    seen += bucket.count;
    if (seen >= total * share) return bucket.up_to_ms === ABOVE ? (BUCKETS_MS.at(-1) ?? 0) : bucket.up_to_ms;
  }
  return 0;
}

/** The figures in Prometheus' text format. */
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
    ["_sum", (metrics.response_ms.mean * metrics.messages_completed) / 1000],
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
  add("model_calls_allowed", "gauge", "Model calls that the gate lets run at once.", [["", metrics.gate.allowed]]);
  return `${lines.join("\n")}\n`;
}
