/**
 * Spending over time: roll-ups of the ledger, updated in the transactions that append to it, so that no history is ever summed up.
 */

import type { SpendAnswer, SpendBucket, SpendKey, SpendQuery, SpendSeries } from "../../contracts/records.ts";
import { MadroxError } from "../../platform/errors.ts";
import type { Row } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";
import { NANO_PER_USD } from "../../platform/units.ts";

export const SPEND_BUCKETS = ["hour", "day"] as const satisfies readonly SpendBucket[];
export const SPEND_KEYS = ["total", "role", "model", "instance"] as const satisfies readonly SpendKey[];
const BUCKET_MS: Record<SpendBucket, number> = { hour: 3_600_000, day: 86_400_000 };
/** Buckets per answer: bounds the rows that a query reads. */
const MAX_BUCKETS: Record<SpendBucket, number> = { hour: 168, day: 92 };
/** Series per answer; all smaller ones are summed up as `other`. */
const MAX_SERIES = 10;

/** Counts a model call that was or may have been billed, with its ledger entry. */
export function countSpending(
  tx: Tx,
  instanceId: string,
  model: string,
  at: number,
  spent: { settled: number; unsettled: number; fresh: number },
): void {
  const { role } = tx.exec<{ role: string }>("SELECT role FROM instance WHERE instance_id = ?", instanceId).one();
  for (const bucket of SPEND_BUCKETS) {
    const start = startOf(bucket, at);
    const sums = [spent.settled, spent.unsettled, spent.fresh];
    tx.exec(
      `INSERT INTO spend (bucket, start, instance_id, model, role, calls, settled_nano, unsettled_nano, fresh)
       VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) ${ADDED}`,
      ...[bucket, start, instanceId, model, role, ...sums],
    );
    tx.exec(
      `INSERT INTO spend_total (bucket, start, model, role, calls, settled_nano, unsettled_nano, fresh)
       VALUES (?, ?, ?, ?, 1, ?, ?, ?) ${ADDED}`,
      ...[bucket, start, model, role, ...sums],
    );
  }
}

const ADDED = `ON CONFLICT DO UPDATE SET calls = calls + 1, settled_nano = settled_nano + excluded.settled_nano,
  unsettled_nano = unsettled_nano + excluded.unsettled_nano, fresh = fresh + excluded.fresh`;

function startOf(bucket: SpendBucket, at: number): number {
  return at - (at % BUCKET_MS[bucket]);
}

/** The first bucket's start and how many there are. Throws `invalid_input` for a window that is empty or too long. Pure. */
export function windowOf(query: SpendQuery, now: number): { first: number; count: number } {
  const size = BUCKET_MS[query.bucket];
  const last = startOf(query.bucket, query.to ?? now);
  const usual = query.bucket === "hour" ? 24 : 30;
  const first = startOf(query.bucket, query.from ?? last - (usual - 1) * size);
  const count = (last - first) / size + 1;
  if (count < 1 || count > MAX_BUCKETS[query.bucket]) {
    throw new MadroxError(
      "invalid_input",
      `From from to to there are 1 to ${MAX_BUCKETS[query.bucket]} buckets of one ${query.bucket}, not ${Math.max(0, count)}. Ask for a shorter time, or for days.`,
      { field: "from", maximum_buckets: MAX_BUCKETS[query.bucket] },
    );
  }
  return { first, count };
}

interface SpendRow extends Row {
  key: string;
  label: string | null;
  start: number;
  cost: number;
  unsettled: number;
  fresh: number;
  calls: number;
}

const KEY: Record<SpendKey, string> = {
  total: "'total'",
  role: "role",
  model: "model",
  instance: "instance_id",
};

/**
 * What was spent in a window, as series to draw. Reads the roll-ups of the window alone, and those of each instance only when the
 * query is by instance.
 */
export function spendOf(
  sql: SqlStorage,
  query: SpendQuery,
  now: number,
): Pick<SpendAnswer, "bucket" | "by" | "starts" | "series" | "cost"> {
  const { first, count } = windowOf(query, now);
  const size = BUCKET_MS[query.bucket];
  const rows = sql
    .exec<SpendRow>(
      `WITH part AS (
         SELECT ${KEY[query.by]} AS key, start, SUM(settled_nano + unsettled_nano) AS cost, SUM(unsettled_nano) AS unsettled,
           SUM(fresh) AS fresh, SUM(calls) AS calls
         FROM ${query.by === "instance" ? "spend" : "spend_total"} WHERE bucket = ? AND start >= ? AND start < ? GROUP BY 1, 2),
       top AS (SELECT key FROM part GROUP BY key ORDER BY SUM(cost) DESC, key LIMIT ${MAX_SERIES})
       SELECT COALESCE(top.key, 'other') AS key, MAX(name) AS label, start, SUM(cost) AS cost, SUM(unsettled) AS unsettled,
         SUM(fresh) AS fresh, SUM(calls) AS calls
       FROM part LEFT JOIN top USING (key) LEFT JOIN instance ON instance_id = top.key
       GROUP BY 1, 3 ORDER BY 1, 3`,
      query.bucket,
      first,
      first + count * size,
    )
    .toArray();
  const series = new Map<string, SpendSeries>();
  for (const row of rows) {
    const known = series.get(row.key) ?? {
      key: row.key,
      label: row.label ?? row.key,
      cost: 0,
      unsettled_cost: 0,
      tokens: 0,
      calls: 0,
      points: new Array<number>(count).fill(0),
    };
    series.set(row.key, known);
    known.cost += row.cost / NANO_PER_USD;
    known.unsettled_cost += row.unsettled / NANO_PER_USD;
    known.tokens += row.fresh;
    known.calls += row.calls;
    known.points[(row.start - first) / size] = row.cost / NANO_PER_USD;
  }
  const rank = (one: SpendSeries) => (one.key === "other" ? -1 : one.cost);
  const sorted = [...series.values()].sort((a, b) => rank(b) - rank(a));
  return {
    bucket: query.bucket,
    by: query.by,
    starts: Array.from({ length: count }, (_, i) => new Date(first + i * size).toISOString()),
    series: sorted,
    cost: sorted.reduce((sum, one) => sum + one.cost, 0),
  };
}
