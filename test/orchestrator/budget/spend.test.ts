/**
 * What was spent when: the roll-ups agree with the ledger, whichever way they are asked for.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { windowOf } from "../../../src/orchestrator/budget/spend.ts";
import { ORCHESTRATOR_SCHEMA } from "../../../src/orchestrator/store/schema.ts";
import { request, send, spawn, status } from "../../support/door.ts";
import { installModel } from "../../support/model.ts";

installModel();

interface Series {
  key: string;
  label: string;
  cost: number;
  calls: number;
  points: number[];
}

async function spend(query: string): Promise<{ starts: string[]; series: Series[]; cost: number; spent: number }> {
  const response = await request(`/spend?${query}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Awaited<ReturnType<typeof spend>>;
}

const nano = (usd: number) => Math.round(usd * 1e9);

describe("spending", () => {
  it("is the same by role, model, instance and in all, and what the instances say", async () => {
    const writer = await spawn({ name: "Writer", role: "documentation_writer", model: "haiku" });
    const analyst = await spawn({ name: "Analyst", role: "data_analyst" });
    await send(writer, "Write.");
    await send(analyst, "Analyse.");
    await send(analyst, "Again.");
    const costs = [Number((await status(writer)).total_cost), Number((await status(analyst)).total_cost)];
    const total = nano((costs[0] ?? 0) + (costs[1] ?? 0));
    expect(total).toBeGreaterThan(0);
    for (const bucket of ["hour", "day"]) {
      for (const by of ["total", "role", "model", "instance"]) {
        const { series, starts, cost, spent } = await spend(`bucket=${bucket}&by=${by}`);
        expect(nano(cost), `${bucket} ${by}`).toBe(total);
        expect(nano(spent)).toBe(total);
        expect(series.reduce((sum, one) => sum + one.calls, 0)).toBe(3);
        for (const one of series) {
          expect(one.points.length).toBe(starts.length);
          expect(nano(one.points.reduce((sum, point) => sum + point, 0))).toBe(nano(one.cost));
        }
      }
    }
    const { series } = await spend("by=instance");
    expect(Object.fromEntries(series.map((one) => [one.label, nano(one.cost)]))).toEqual({
      Writer: nano(costs[0] ?? 0),
      Analyst: nano(costs[1] ?? 0),
    });
  });

  it("sums up what is beyond the dearest ten", async () => {
    await runInDurableObject(env.ORCHESTRATOR.getByName("default"), async (_object, state) => {
      state.storage.sql.exec("DELETE FROM spend");
      state.storage.sql.exec(
        `INSERT INTO spend WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 13)
         SELECT 'hour', ?, 'inst_' || i, 'm', 'general', 1, i * 1000000000, 0, 5 FROM n`,
        Math.floor(Date.now() / 3_600_000) * 3_600_000,
      );
    });
    const { series, cost } = await spend("by=instance");
    expect(series.map((one) => [one.key, one.cost])).toEqual([
      ...Array.from({ length: 10 }, (_, i) => [`inst_${13 - i}`, 13 - i]),
      ["other", 6],
    ]);
    expect(cost).toBe(91);
  });

  it("of a ledger that is older than the roll-ups is counted once, when they are made", async () => {
    const id = await spawn({ name: "Old" });
    await send(id, "Work.");
    await runInDurableObject(env.ORCHESTRATOR.getByName("default"), async (_object, { storage: { sql } }) => {
      const rows = () => sql.exec("SELECT * FROM spend WHERE instance_id = ? ORDER BY bucket", id).toArray();
      const counted = rows();
      sql.exec("DROP TABLE spend");
      const step = ORCHESTRATOR_SCHEMA.steps.find((one) => one.includes("CREATE TABLE spend"));
      sql.exec(step ?? "");
      expect(rows()).toEqual(counted);
    });
  });

  it.each([
    ["bucket=minute", "bucket"],
    ["by=mood", "by"],
    ["from=yesterday", "from"],
    ["bucket=hour&from=2026-01-01T00:00:00Z", "from"],
    ["from=2030-01-01T00:00:00Z&to=2029-01-01T00:00:00Z", "from"],
    ["depth=1", "depth"],
  ])("refuses %s", async (query, field) => {
    const response = await request(`/spend?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ success: false, error: "invalid_input", details: { field } });
  });

  it("has whole buckets from the one that holds the first moment to the one that holds the last", () => {
    const hour = 3_600_000;
    const query = { bucket: "hour", by: "total" } as const;
    expect(windowOf({ ...query, from: 5 * hour + 1, to: 7 * hour }, 0)).toEqual({ first: 5 * hour, count: 3 });
    expect(windowOf({ ...query, from: null, to: null }, 30 * hour)).toEqual({ first: 7 * hour, count: 24 });
  });
});
