/**
 * The limits that an instance gives to those that it spawns: at most its own, whichever field or tool they come by.
 */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { configOf } from "../../../src/config/config.ts";
import { limitsWithin, type OwnLimits } from "../../../src/orchestrator/registry/spawn-limits.ts";
import { installActors } from "../../support/actors.ts";
import { type Json, spawn, tool } from "../../support/door.ts";

const { act } = installActors();
const { maxTokensPerInstance, maxTotalCost, instanceTimeoutMinutes } = configOf(env);

const OWN: OwnLimits = { max_cost: 5, max_total_tokens: 100_000, timeout_minutes: 30, max_turn_minutes: 10 };
const DEFAULTS = { instanceTimeoutMinutes: 60 };

describe("limits within one's own", () => {
  it.each([
    ["max_cost", 5, 5.000_001],
    ["max_total_tokens", 100_000, 100_001],
    ["timeout_minutes", 30, 31],
    ["max_turn_minutes", 10, 11],
  ] as const)("%s: %d may be given, %d may not", (name, most, more) => {
    expect(limitsWithin({ [name]: most }, {}, OWN, DEFAULTS)).toMatchObject({ ok: true, value: { [name]: most } });
    const refused = limitsWithin({ [name]: more }, {}, OWN, DEFAULTS);
    expect(refused).toMatchObject({ ok: false, error: { code: "forbidden", details: { fields: [name] } } });
  });

  it.each<[what: string, suggested: object, own: Partial<OwnLimits>, given: object]>([
    [
      "times that are left open are the spawner's",
      {},
      { timeout_minutes: 30, max_turn_minutes: 10 },
      { timeout_minutes: 30, max_turn_minutes: 10 },
    ],
    ["longer times of the spawner change nothing", {}, { timeout_minutes: 500, max_turn_minutes: null }, {}],
    [
      "what a template suggests is given",
      { max_cost: 1, max_total_tokens: 9 },
      {},
      { max_cost: 1, max_total_tokens: 9 },
    ],
    ["suggested money beyond one's own is not", { max_cost: 9, max_total_tokens: 9e9 }, {}, {}],
    ["suggested times are lowered", { timeout_minutes: 240 }, { timeout_minutes: 90 }, { timeout_minutes: 90 }],
  ])("%s", (_what, suggested, own, given) => {
    const answer = limitsWithin(
      {},
      suggested,
      { ...OWN, timeout_minutes: 60, max_turn_minutes: null, ...own },
      DEFAULTS,
    );
    if (!answer.ok) return expect.fail(answer.error.message);
    expect(Object.fromEntries(Object.entries(answer.value).filter(([, value]) => value !== undefined))).toEqual(given);
  });
});

describe("an instance that spawns", () => {
  const BEYOND = { max_total_tokens: 9e9, max_cost: 900_000, timeout_minutes: 525_600, max_turn_minutes: 525_600 };
  const own = { max_cost: 2, timeout_minutes: 20, max_turn_minutes: 5 };
  const ways: [name: string, tool: string, input: (limit: object) => Record<string, unknown>][] = [
    ["spawn_claude", "spawn_claude", (limit) => ({ name: "x", ...limit })],
    ["resource_limits", "spawn_claude", (limit) => ({ name: "x", resource_limits: limit })],
    ["spawn_team", "spawn_team", (limit) => ({ template: "research", overrides: limit })],
  ];

  describe.each(ways)("with %s", (way, name, input) => {
    const limits = Object.entries(BEYOND).filter(
      ([limit]) => way !== "resource_limits" || limit !== "max_turn_minutes",
    );
    it.each(limits)("can't give more %s than it has", async (limit, value) => {
      const boss = await spawn({ name: "boss", ...own });
      const refused = await act(boss, name, input({ [limit]: value }));
      expect(refused).toMatchObject({ success: false, error: "forbidden" });
      expect(refused.message).toContain(limit);
      // From outside the same is a matter of the tenant's own caps.
      expect(await tool(name, input({ [limit]: value }))).toMatchObject({ success: true });
    });
  });

  it("gives its own where it names none, and what it has not set is the server's", async () => {
    const boss = await spawn({ name: "boss", ...own });
    const { limits } = await act(boss, "spawn_claude", { name: "x" });
    expect(limits).toEqual({
      max_cost: null,
      max_total_tokens: maxTokensPerInstance,
      timeout_minutes: 20,
      max_turn_minutes: 5,
    });
    const free = await spawn({ name: "free" });
    expect((await act(free, "spawn_claude", { name: "x" })).limits).toMatchObject({
      timeout_minutes: instanceTimeoutMinutes,
      max_turn_minutes: null,
    });
  });

  it("gives no more money than those above it and the tenant have", async () => {
    const top = await spawn({ name: "top", max_cost: 3 });
    const boss = await spawn({ name: "boss", parent_instance_id: top });
    expect(await act(boss, "spawn_claude", { name: "x", max_cost: 4 })).toMatchObject({ error: "forbidden" });
    expect(await act(boss, "spawn_claude", { name: "x", max_cost: 3 })).toMatchObject({ limits: { max_cost: 3 } });
    const free = await spawn({ name: "free" });
    const most = await act(free, "spawn_claude", { name: "x", max_cost: maxTotalCost });
    expect(most).toMatchObject({ success: true, limits: { max_cost: maxTotalCost } });
  });

  it("is not lifted by a child of its child", async () => {
    const boss = await spawn({ name: "boss", max_total_tokens: 50_000 });
    const child = String((await act(boss, "spawn_claude", { name: "child", max_total_tokens: 40_000 })).instance_id);
    expect(await act(child, "spawn_claude", { name: "x", max_total_tokens: 45_000 })).toMatchObject({
      error: "forbidden",
    });
    const under = { name: "x", parent_instance_id: child, max_total_tokens: 50_000 };
    expect(await act(boss, "spawn_claude", under)).toMatchObject({ success: true });
  });

  it("starts a team whose suggested limits are more than its own", async () => {
    const boss = await spawn({ name: "boss", max_cost: 2, max_total_tokens: 900_000, timeout_minutes: 20 });
    const team = (await act(boss, "spawn_team", { template: "research" })) as Json & {
      limits: object;
      members: Json[];
    };
    expect(team).toMatchObject({ success: true, limits: { max_cost: null, timeout_minutes: 20 } });
    const member = await tool("get_instance_status", { instance_id: String(team.members[0]?.instance_id) });
    expect(member.status).toMatchObject({ limits: { timeout_minutes: 20 } });
  });
});

describe("an amount of money below a nano-dollar", () => {
  const AMOUNTS = [1e-320, Number.MIN_VALUE, 9.99e-10];
  const ways: [name: string, input: (id: string, amount: number) => Record<string, unknown>][] = [
    ["set_limits", (id, max_cost) => ({ instance_id: id, max_cost })],
    ["spawn_claude", (_id, max_cost) => ({ name: "Ada", max_cost })],
    ["spawn_claude", (_id, max_cost) => ({ name: "Ada", resource_limits: { max_cost } })],
    ["spawn_team", (_id, max_cost) => ({ template: "research", overrides: { max_cost } })],
    [
      "coordinate_instances",
      (id, max_cost) => ({
        coordinator_id: id,
        participant_ids: [id],
        task_description: "Look.",
        coordination_type: "parallel",
        options: { max_cost },
      }),
    ],
  ];

  it.each(ways)("is refused by %s, and one of them is taken as it is", async (name, input) => {
    const id = await spawn();
    for (const amount of AMOUNTS) {
      const refused = await tool(name, input(id, amount));
      expect(refused).toMatchObject({ success: false, error: "invalid_input" });
      expect(refused.message).toMatch(/max_cost: .*1e-9/);
    }
    expect(await tool("set_limits", { instance_id: id, max_cost: 1e-9 })).toMatchObject({ limits: { max_cost: 1e-9 } });
  });

  it("is refused in MAX_TOTAL_COST", () => {
    for (const amount of AMOUNTS) {
      expect(() => configOf({ ...env, MAX_TOTAL_COST: String(amount) })).toThrow(/MAX_TOTAL_COST/);
    }
    expect(configOf({ ...env, MAX_TOTAL_COST: "1e-9" }).maxTotalCost).toBe(1e-9);
  });
});
