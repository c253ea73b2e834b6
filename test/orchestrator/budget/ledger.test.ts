/**
 * Money: caps hold in every interleaving, and every balance is the sum of its entries.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import * as ledger from "../../../src/orchestrator/budget/ledger.ts";
import { FLOOR_TOKENS } from "../../../src/orchestrator/budget/reservation-check.ts";
import { Orchestrator } from "../../../src/orchestrator/orchestrator.ts";
import { spawn as spawnRow } from "../../../src/orchestrator/registry/spawning.ts";
import { changeLimits, limitsOf, TENANT } from "../../../src/orchestrator/store/limits.ts";
import { newJobId } from "../../../src/platform/ids.ts";
import { inTransaction, type Tx } from "../../../src/platform/transaction.ts";
import { type Json, request, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";

const model = installModel();

beforeAll(() => scriptModel(() => undefined));

type Step =
  | { do: "spawn"; parent: number; maxCost: number | null; maxTokens: number | null }
  | { do: "reserve"; who: number; prompt: number; max: number; model: number; job: number }
  | { do: "end"; who: number; how: "settled" | "unsettled" | "release"; share: number }
  | { do: "crash"; who: number }
  | { do: "raise"; who: number; by: number };

const MODELS = ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"];

/** Coordinated tasks that calls are made for, with their caps in USD; a call with another number is made for none. */
const JOBS = [
  { id: newJobId(), maxCost: 0.05 },
  { id: newJobId(), maxCost: 0.15 },
];

const CAPS = { tenantNano: 400_000_000, ownTokens: 60_000 };

const RULES = {
  maxInstances: 1_000,
  maxDepth: 5,
  maxChildren: null,
  simulated: false,
  timeoutMinutes: 60,
  defaults: { maxTotalCost: 0.4, maxInstances: 1_000, maxTokensPerInstance: 60_000, instanceTimeoutMinutes: 60 },
};

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("spawn" as const),
    parent: fc.integer({ min: -1, max: 8 }),
    maxCost: fc.option(fc.double({ min: 0.001, max: 0.3, noNaN: true })),
    maxTokens: fc.option(fc.integer({ min: 1, max: 40_000 })),
  }),
  fc.record({
    do: fc.constant("reserve" as const),
    who: fc.nat(8),
    prompt: fc.oneof(fc.nat(8_000), fc.integer({ min: 90_000, max: 120_000 })),
    max: fc.integer({ min: 1, max: 16_000 }),
    model: fc.nat(2),
    job: fc.nat(3),
  }),
  fc.record({
    do: fc.constant("end" as const),
    who: fc.nat(8),
    how: fc.constantFrom("settled", "unsettled", "release"),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  fc.record({ do: fc.constant("crash" as const), who: fc.nat(8) }),
  fc.record({
    do: fc.constant("raise" as const),
    who: fc.nat(8),
    by: fc.double({ min: 0.001, max: 0.2, noNaN: true }),
  }),
);

describe("the ledger", () => {
  it("holds every cap in every interleaving, and its balances are the sums of its entries", async () => {
    const stub = env.ORCHESTRATOR.getByName("tenant-of-the-property-test");
    await runInDurableObject(stub, (_object, { storage }) => {
      const { sql } = storage;
      const commit = <T>(work: (tx: Tx) => T) => inTransaction(storage, work);
      const run = (steps: readonly Step[]) => {
        for (const table of ["instance", "limits", "balance", "reservation", "ledger", "event", "outbox"])
          sql.exec(`DELETE FROM ${table}`);
        sql.exec("INSERT INTO balance (scope) VALUES ('tenant')");
        for (const { id, maxCost } of JOBS) {
          commit((tx) => ledger.openBalance(tx, id));
          commit((tx) => changeLimits(tx, id, { max_cost: maxCost }));
        }
        sql.exec("UPDATE tenant SET total_instances = 0, active_instances = 0, bound_violations = 0");
        const ids: string[] = [];
        const attempts = new Map<string, number>();
        const open = new Map<string, { attempt: number; prompt: number; max: number }>();
        steps.forEach((next, time) => {
          const now = Date.UTC(2026, 10, 22) + time;
          const who = next.do === "spawn" ? undefined : ids[next.who];
          switch (next.do) {
            case "spawn": {
              const limits = {
                ...(next.maxCost === null ? {} : { max_cost: next.maxCost }),
                ...(next.maxTokens === null ? {} : { max_total_tokens: next.maxTokens }),
              };
              const request = { ...SPAWN, parent_instance_id: ids[next.parent] ?? null, limits };
              const made = commit((tx) => spawnRow(tx, request, RULES, CAPS, now));
              if (made.ok) ids.push(made.value.instance_id);
              break;
            }
            case "reserve": {
              if (!who || open.has(who)) break;
              const attempt = (attempts.get(who) ?? 0) + 1;
              const wanted = {
                attempt,
                model: MODELS[next.model] ?? "",
                promptTokens: next.prompt,
                maxTokens: next.max,
                at: now,
                job: JOBS[next.job]?.id ?? null,
              };
              const leave = commit((tx) => ledger.reserve(tx, who, wanted, CAPS));
              if (leave.kind !== "granted") break;
              attempts.set(who, attempt);
              open.set(who, { attempt, prompt: next.prompt, max: leave.maxTokens });
              break;
            }
            case "end": {
              const call = who ? open.get(who) : undefined;
              if (!who || !call) break;
              open.delete(who);
              const output = Math.floor(call.max * next.share);
              const usage = {
                input: 0,
                output,
                cacheRead: 0,
                cacheWrite5m: Math.floor(call.prompt * next.share),
                cacheWrite1h: 0,
                webSearches: 0,
              };
              const ending =
                next.how === "settled"
                  ? { kind: next.how, usage, requestId: null }
                  : next.how === "unsettled"
                    ? { kind: next.how, usage }
                    : { kind: next.how };
              commit((tx) => ledger.endReservation(tx, who, call.attempt, ending, now));
              break;
            }
            case "crash": {
              // The instance forgets its call; what it reserved stays counted, and its next call says so.
              if (who) open.delete(who);
              break;
            }
            case "raise": {
              const cap = who ? limitsOf(sql, who).max_cost_nano : null;
              if (who && cap !== null) commit((tx) => changeLimits(tx, who, { max_cost: cap / 1e9 + next.by }));
              break;
            }
          }
          check(sql);
        });
        expect(sql.exec<{ n: number }>("SELECT bound_violations AS n FROM tenant").one().n).toBe(0);
      };
      fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), run), { numRuns: 1_500, seed: 7 });
    });
  });
});

const SPAWN = {
  tenant: "tenant-of-the-property-test",
  name: "x",
  role: "general" as const,
  model: "claude-sonnet-5-5",
  effort: null,
  max_tokens: 1_000,
  system: "",
  tools: [],
  initial_prompt: null,
};

/** Every invariant of the ledger, from its rows alone. */
function check(sql: SqlStorage): void {
  const sums = new Map<string, { settled: number; unsettled: number; reserved: number }>();
  const paths = new Map(
    sql
      .exec<{ instance_id: string; path: string }>("SELECT instance_id, path FROM instance")
      .toArray()
      .map((row) => [row.instance_id, JSON.parse(row.path) as string[]]),
  );
  interface Entry extends Record<string, SqlStorageValue> {
    instance_id: string;
    kind: string;
    reserved_nano: number;
    settled_nano: number;
    job: string | null;
  }
  for (const entry of sql.exec<Entry>("SELECT * FROM ledger")) {
    const ancestors = paths.get(entry.instance_id) ?? [];
    for (const scope of [TENANT, ...ancestors, entry.instance_id, ...(entry.job === null ? [] : [entry.job])]) {
      const sum = sums.get(scope) ?? { settled: 0, unsettled: 0, reserved: 0 };
      sum.reserved += entry.kind === "reserve" ? entry.reserved_nano : -entry.reserved_nano;
      sum.settled += entry.settled_nano;
      if (entry.kind === "unsettled") sum.unsettled += entry.reserved_nano;
      sums.set(scope, sum);
    }
  }
  for (const row of sql.exec<{
    scope: string;
    settled_nano: number;
    unsettled_nano: number;
    reserved_nano: number;
    fresh: number;
    fresh_reserved: number;
  }>("SELECT * FROM balance")) {
    const sum = sums.get(row.scope) ?? { settled: 0, unsettled: 0, reserved: 0 };
    expect({
      scope: row.scope,
      settled: row.settled_nano,
      unsettled: row.unsettled_nano,
      reserved: row.reserved_nano,
    }).toEqual({ scope: row.scope, ...sum });
    const limits = limitsOf(sql, row.scope);
    const cap = row.scope === TENANT ? CAPS.tenantNano : (limits.max_cost_nano ?? Number.POSITIVE_INFINITY);
    expect(row.settled_nano + row.unsettled_nano + row.reserved_nano).toBeLessThanOrEqual(cap);
    expect(row.fresh + row.fresh_reserved).toBeLessThanOrEqual(limits.max_total_tokens ?? Number.POSITIVE_INFINITY);
  }
}

/** Sends to all at once without waiting, and returns the message ids. */
async function fire(ids: readonly string[], text: string): Promise<string[]> {
  const sent = await Promise.all(ids.map((id) => send(id, text, { wait_for_response: false })));
  return sent.map((answer) => String(answer.message_id));
}

/** Whether nothing is on its way any more: each message has its answer, or is paused by a cap. */
const isSettled = (answer: Json) => (answer.pending as { status: string }[]).every(({ status }) => status === "paused");

const states = async (ids: readonly string[]) => Promise.all(ids.map(async (id) => String((await status(id)).state)));

/** A parent with a cap and children, whose every call is bound by and costs exactly `call` nano-dollars of output. */
async function family(count: number, capUsd: number, maxTokens: number) {
  const parent = await spawn({ max_cost: capUsd });
  const children = await Promise.all(
    Array.from({ length: count }, () => spawn({ parent_instance_id: parent, max_tokens: maxTokens })),
  );
  return { parent, children };
}

describe("children that share one cap", () => {
  it("run as far as the cap goes when each costs its bound, and the others pause until it is raised", async () => {
    // The simulator reports exactly what the bound assumed: every prompt byte as written to the cache, every output token used.
    const { parent, children } = await family(20, 1, 1_000);
    const bound = await boundOfFirstCall(children[0] ?? "", "Work.");
    const cap = (bound * 7 + bound / 2) / 1e9;
    expect(await tool("set_limits", { instance_id: parent, max_cost: cap })).toMatchObject({ success: true });
    exactly(bound, 1_000);
    const messages = await fire(children.slice(1), "Work.");
    await until(async () => isSettled(await tool("wait", { ids: messages, timeout_seconds: 5 })));
    const counted = await states(children.slice(1));
    expect(counted.filter((state) => state === "idle")).toHaveLength(7);
    expect(counted.filter((state) => state === "paused")).toHaveLength(12);
    const remaining = ((await status(parent)).remaining as { cost: number }).cost;
    expect(remaining).toBeGreaterThanOrEqual(0);

    const raised = await tool("set_limits", { instance_id: parent, max_cost: (bound * 30) / 1e9 });
    expect(raised.resumed).toHaveLength(12);
    await until(
      async () => (await tool("wait", { ids: messages, timeout_seconds: 5 })).message === "Everything is done.",
    );
    scriptModel(() => undefined);
  });

  it("all run when the money really suffices, waiting for settlements on the way", async () => {
    const { parent, children } = await family(12, 1, 16_000);
    const bound = await boundOfFirstCall(children[0] ?? "", "Work.");
    // Room for three bounds at once, and each call costs a small part of its own.
    await tool("set_limits", { instance_id: parent, max_cost: (bound * 3.2) / 1e9 });
    scriptModel(() => ({ delayMs: 30, blocks: [{ type: "text", text: "Done." }] }));
    const messages = await fire(children, "Work.");
    await until(
      async () => (await tool("wait", { ids: messages, timeout_seconds: 5 })).message === "Everything is done.",
    );
    scriptModel(() => undefined);
  });
});

/** What the next call of a fresh instance is bound by, in nano-USD, as its ledger says after one call. */
async function boundOfFirstCall(id: string, text: string): Promise<number> {
  await send(id, text);
  const rows = await runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_object, { storage }) =>
    storage.sql
      .exec<{ reserved_nano: number }>(
        "SELECT reserved_nano FROM ledger WHERE instance_id = ? AND kind = 'reserve'",
        id,
      )
      .toArray(),
  );
  return rows[0]?.reserved_nano ?? 0;
}

/** Makes every answer cost exactly its bound: the prompt counted at its bound, the output at max_tokens. */
function exactly(boundNano: number, maxTokens: number): void {
  // Sonnet 5.5: 2,500 nano-USD a written token, 10,000 an output token.
  const prompt = (boundNano - maxTokens * 10_000) / 2_500;
  scriptModel(() => ({
    delayMs: 50,
    blocks: [{ type: "text", text: "Done." }],
    usage: {
      input_tokens: 0,
      output_tokens: maxTokens,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: prompt,
      cache_creation: { ephemeral_5m_input_tokens: prompt, ephemeral_1h_input_tokens: 0 },
    },
  }));
}

describe("a spending cap", () => {
  it("of one token lets no call through, and says whose cap, what was asked and what is left", async () => {
    const id = await spawn({ max_total_tokens: 1 });
    const calls = model.simulator.journal.length;
    const answer = await send(id, "Hello?");
    expect(answer).toMatchObject({ success: false, error: "budget_exceeded", status: "paused" });
    expect(answer.details).toMatchObject({
      scope: id,
      limit: "max_total_tokens",
      cap: 1,
      remaining: 1,
      asked: expect.any(Number),
    });
    expect(model.simulator.journal).toHaveLength(calls);
    expect(await status(id)).toMatchObject({ state: "paused", request_count: 0 });
  });

  it("that is raised lets the turn go on where it stopped", async () => {
    const id = await spawn({ max_cost: 0.000001 });
    const paused = await send(id, "Hello?");
    expect(paused).toMatchObject({ error: "budget_exceeded", status: "paused" });
    expect(await tool("set_limits", { instance_id: id, max_cost: 1 })).toMatchObject({ success: true, resumed: [id] });
    const done = await tool("wait", { ids: [String(paused.message_id)] });
    expect(done).toMatchObject({ done: [{ status: "completed" }] });
    expect(await status(id)).toMatchObject({ state: "idle", limits: { max_cost: 1 } });
  });

  it("that is raised between a refusal and the turn's pause is seen all the same", async () => {
    const id = await spawn({ max_cost: 0.000001 });
    const { admit } = Orchestrator.prototype;
    let raised = false;
    const spy = vi.spyOn(Orchestrator.prototype, "admit").mockImplementation(async function (
      this: Orchestrator,
      ...args
    ) {
      const admission = await admit.apply(this, args);
      if (args[0] === id && !admission.granted && !raised) {
        raised = true;
        expect(await tool("set_limits", { instance_id: id, max_cost: 1 })).toMatchObject({ success: true });
      }
      return admission;
    });
    const sent = await send(id, "Hello?", { wait_for_response: false });
    await until(async () => raised);
    const done = await until(async () => {
      const answer = await tool("wait", { ids: [String(sent.message_id)], timeout_seconds: 1 });
      const [message] = answer.done as { status: string }[];
      return message?.status === "completed" && message;
    });
    spy.mockRestore();
    expect(done).toMatchObject({ status: "completed" });
  });

  it.each<[string, Json | Record<string, unknown>]>([
    ["at the top level", { max_total_tokens: 4_321, max_cost: 1.5, timeout_minutes: 7 }],
    ["in resource_limits", { resource_limits: { max_total_tokens: 4_321, max_cost: 1.5, timeout_minutes: 7 } }],
  ])("is taken %s", async (_where, limits) => {
    const id = await spawn(limits);
    expect(await status(id)).toMatchObject({ limits: { max_total_tokens: 4_321, max_cost: 1.5, timeout_minutes: 7 } });
  });

  it("shrinks an answer to what is left", async () => {
    const id = await spawn({ max_tokens: 16_000 });
    const bound = await boundOfFirstCall(id, "One.");
    await tool("set_limits", { instance_id: id, max_cost: (bound * 0.6) / 1e9 });
    await send(id, "Two.");
    const last = model.callsAbout("Two.").at(-1) as { max_tokens: number };
    expect(last.max_tokens).toBeLessThan(16_000);
    expect(last.max_tokens).toBeGreaterThanOrEqual(FLOOR_TOKENS);
  });

  it("counts what broke off at its reservation, apart from what was settled", async () => {
    const id = await spawn({ max_tokens: 500 });
    let tries = 0;
    scriptModel((call) => {
      if (!call.lastUserText.includes("Break off")) return undefined;
      tries += 1;
      return tries === 1
        ? { blocks: [{ type: "text", text: "I was about to" }], fault: { kind: "eof", afterChars: 5 } }
        : { blocks: [{ type: "text", text: "Whole." }] };
    });
    expect(await send(id, "Break off once.")).toMatchObject({ status: "completed" });
    scriptModel(() => undefined);
    const record = (await status(id)) as { total_cost: number; unsettled_cost: number };
    expect(record.unsettled_cost).toBeGreaterThan(0);
    expect(record.total_cost).toBeGreaterThan(record.unsettled_cost);
    const metrics = await (await request("/metrics")).text();
    expect(metrics).toContain("madrox_reservation_violations_total 0");
  });

  it("is refused where it makes no sense", async () => {
    const id = await spawn();
    expect(await tool("set_limits", {})).toMatchObject({ error: "invalid_input" });
    expect(await tool("set_limits", { instance_id: id, max_instances: 5 })).toMatchObject({ error: "invalid_input" });
    expect(await tool("set_limits", { timeout_minutes: 5 })).toMatchObject({ error: "invalid_input" });
    expect(await tool("set_limits", { instance_id: id, max_cost: 0 })).toMatchObject({ error: "invalid_input" });
  });
});

describe("the depth of a tree", () => {
  it("is bounded", async () => {
    let parent = await spawn();
    for (let depth = 1; depth <= 5; depth++) parent = await spawn({ parent_instance_id: parent });
    expect(await tool("spawn_claude", { name: "too deep", parent_instance_id: parent })).toMatchObject({
      error: "limit_reached",
    });
  });
});
