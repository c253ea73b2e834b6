/**
 * Counters of one instance or a whole tenant, small enough to be part of its row: how long messages took, in buckets, and how
 * they failed. Pure.
 */
import type { InstanceEvent } from "../../contracts/instance-spec.ts";

/** Upper ends of the response-time buckets, in ms. */
export const BUCKETS_MS = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000] as const;

/** `times[i]` messages took at most `BUCKETS_MS[i]`, and the last entry counts all longer ones. `sum_ms` is over all of them. */
export interface Counters {
  times: number[];
  sum_ms: number;
  /** Messages that failed or were refused, by error code. */
  errors: Record<string, number>;
}

const NO_COUNTERS: Counters = { times: new Array(BUCKETS_MS.length + 1).fill(0), sum_ms: 0, errors: {} };

export function parseCounters(text: string | null): Counters {
  return text === null ? NO_COUNTERS : (JSON.parse(text) as Counters);
}

/** The counters after an event; the same object when it does not concern them. */
export function countersAfter(counters: Counters, { kind, data }: InstanceEvent): Counters {
  if (kind === "message.completed") {
    const ms = Number(data.duration_ms ?? 0);
    const found = BUCKETS_MS.findIndex((end) => ms <= end);
    const bucket = found < 0 ? BUCKETS_MS.length : found;
    return {
      ...counters,
      times: counters.times.map((count, i) => (i === bucket ? count + 1 : count)),
      sum_ms: counters.sum_ms + ms,
    };
  }
  if (kind === "message.failed" || kind === "message.refused") {
    const code = String(data.error ?? "unknown");
    return { ...counters, errors: { ...counters.errors, [code]: (counters.errors[code] ?? 0) + 1 } };
  }
  return counters;
}

/** Response times in ms. A percentile is the upper end of its bucket, so never below the true one. */
export function responseTimes(counters: Counters): { mean: number; p50: number; p95: number } {
  const total = counters.times.reduce((sum, count) => sum + count, 0);
  const percentile = (share: number) => {
    let seen = 0;
    for (const [i, count] of counters.times.entries()) {
      seen += count;
      if (total > 0 && seen >= total * share) return BUCKETS_MS[i] ?? BUCKETS_MS[BUCKETS_MS.length - 1] ?? 0;
    }
    return 0;
  };
  return { mean: total === 0 ? 0 : Math.round(counters.sum_ms / total), p50: percentile(0.5), p95: percentile(0.95) };
}
