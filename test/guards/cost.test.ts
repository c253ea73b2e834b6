/**
 * Guards that no machine is too slow or too busy for: rows and calls between objects instead of times, timers that nothing may wait
 * for, listeners and timers that have to be gone. `recorded.json` beside this file holds what was last found good.
 */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { LOCAL } from "../../src/contracts/principal.ts";
import { type CallContext, contextOf } from "../../src/http/context.ts";
import { dispatch } from "../../src/tools/runtime/dispatch.ts";
import { type Calls, callsOf, uncounted, watchCalls } from "../support/calls.ts";
import { request, until } from "../support/door.ts";
import { mcpRequest } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { type Rows, rowsOf, watchRows } from "../support/rows.ts";
import recorded from "./recorded.json";

installModel();
beforeAll(watchRows);
beforeAll(watchCalls);
beforeAll(() => scriptModel(() => undefined));

/** How far above what is recorded a figure may be. Who makes it smaller records that. */
const MARGIN = 1.1;

/** One tenant of many, with some instances. */
interface House {
  context: CallContext;
  /** Spawned last; nobody has used it. */
  id: string;
}

async function call(
  { context }: Pick<House, "context">,
  name: string,
  input: object,
): Promise<Record<string, unknown>> {
  const answer = await dispatch(context, name, input);
  if (!answer.success) throw new Error(`${name}: ${answer.message}`);
  return answer;
}

function houseOf(tenant: string): Pick<House, "context"> {
  const principal = { ...LOCAL, tenant };
  return { context: contextOf(env, [], { principal, signal: new AbortController().signal }) };
}

async function spawn(house: Pick<House, "context">): Promise<string> {
  return String((await call(house, "spawn_claude", { name: "Ada" })).instance_id);
}

async function houseWith(instances: number): Promise<House> {
  const house = houseOf(`house-of-${instances}`);
  let id = "";
  for (let i = 0; i < instances; i++) id = await spawn(house);
  return { ...house, id };
}

/** Until an instance rests: its only alarm is its idle deadline, an hour ahead. */
function atRest({ context }: Pick<House, "context">, id: string): Promise<unknown> {
  const object = uncounted(env.INSTANCE, `${context.principal.tenant}/${id}`);
  return until(async () => {
    const alarm = await runInDurableObject(object, (_object, { storage }) => storage.getAlarm());
    return alarm !== null && alarm > Date.now() + 600_000;
  });
}

async function turn(house: Pick<House, "context">, id: string): Promise<void> {
  await call(house, "send_to_instance", { instance_id: id, message: "Good day." });
  await atRest(house, id);
}

/** In this order: what comes first is not changed by what comes after. */
const OPERATIONS: Record<keyof typeof recorded.rows, (house: House) => Promise<unknown>> = {
  status: (house) => call(house, "get_instance_status", { instance_id: house.id }),
  "a page of the list": (house) => call(house, "get_instance_status", { limit: 5 }),
  "a page of a role": (house) => call(house, "get_instance_status", { role: "general", limit: 5 }),
  "a page of a state": (house) => call(house, "get_instance_status", { state: "idle", limit: 5 }),
  "the newest of the list": ({ context }) => context.orchestrator.list({ limit: 5, newest: true }),
  "the whole tree": ({ context }) =>
    context.orchestrator.tree({ root_id: null, depth: 3, limit: 5, terminated: false }),
  "a page of a parent and a state": ({ context, id }) =>
    context.orchestrator.list({ parent_id: id, state: "idle", role: "general", limit: 5 }),
  tree: (house) => call(house, "get_instance_tree", { root_id: house.id }),
  figures: ({ context }) => context.orchestrator.metrics(),
  "a page of events": ({ context }) =>
    context.orchestrator.events({ after: 0, instance_id: null, limit: 5, waitMs: 0 }),
  "an instance's events": ({ context, id }) =>
    context.orchestrator.events({ after: 0, instance_id: id, limit: 5, waitMs: 0 }),
  spawn,
  "spawn of a child": (house) => call(house, "spawn_claude", { name: "Bo", parent_instance_id: house.id }),
  "limits of an instance": (house) => call(house, "set_limits", { instance_id: house.id, max_cost: 5 }),
  "look at the idle time": ({ context, id }) => context.orchestrator.expire(id),
  "first turn": (house) => turn(house, house.id),
  "next turn": (house) => turn(house, house.id),
  "a page of output": (house) => call(house, "get_instance_output", { instance_id: house.id, limit: 5 }),
  terminate: (house) => call(house, "terminate_instance", { instance_id: house.id }),
  delete: ({ context, id }) => context.orchestrator.erase(id),
};

/** What an operation costs. */
interface Cost extends Rows {
  calls: Calls;
}

async function costOfAll(house: House): Promise<Record<string, Cost>> {
  const costs: Record<string, Cost> = {};
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    let calls: Calls = {};
    const rows = await rowsOf(async () => {
      calls = await callsOf(() => operation(house));
    });
    costs[name] = { ...rows, calls };
  }
  return costs;
}

/** A scan is seen by the hundred; an alarm that happens to look once more reads a few rows. */
const A_FEW = 20;

function expectNoGrowth(many: Rows | undefined, few: Rows | undefined): void {
  expect(many?.read).toBeLessThanOrEqual((few?.read ?? 0) + A_FEW);
  expect(many?.written).toBe(few?.written);
}

describe("what an operation costs", () => {
  let few: Record<string, Cost> = {};
  let many: Record<string, Cost> = {};
  beforeAll(async () => {
    few = await costOfAll(await houseWith(10));
    many = await costOfAll(await houseWith(250));
  }, 60_000);

  it.each(Object.keys(OPERATIONS))("%s: as many among 250 instances as among 10", (name) => {
    expectNoGrowth(many[name], few[name]);
  });

  it.each(Object.entries(recorded.rows))("%s: not more than recorded", (name, { read, written }) => {
    expect(few[name]?.read).toBeLessThanOrEqual(read * MARGIN);
    expect(few[name]?.written).toBeLessThanOrEqual(written * MARGIN);
  });

  it.each(Object.entries<Calls>(recorded.calls))("%s: no more calls between objects than recorded", (name, calls) => {
    const more = Object.entries(few[name]?.calls ?? {}).filter(([method, count]) => count > (calls[method] ?? 0));
    expect(Object.fromEntries(more)).toEqual({});
  });
});

describe("the rows of an operation, whatever the others do", () => {
  it("do not grow with children and others that have ended", async () => {
    const house = houseOf("house-of-the-past");
    const parent = await spawn(house);
    const live = async () =>
      String((await call(house, "spawn_claude", { name: "Bo", parent_instance_id: parent })).instance_id);
    const first = await live();
    const { orchestrator } = house.context;
    const operations = async () => [
      await rowsOf(() => orchestrator.tree({ root_id: null, depth: 3, limit: 5, terminated: false })),
      await rowsOf(() => orchestrator.tree({ root_id: parent, depth: 3, limit: 5, terminated: false })),
      await rowsOf(() => orchestrator.children(parent)),
      await rowsOf(() => orchestrator.expire(parent)),
    ];
    const before = await operations();
    for (let i = 0; i < 60; i++) {
      await call(house, "terminate_instance", { instance_id: await live() });
      await call(house, "terminate_instance", { instance_id: await spawn(house) });
    }
    const after = await operations();
    for (const [i, rows] of after.entries()) expectNoGrowth(rows, before[i]);
    expect(await orchestrator.children(parent)).toMatchObject({ value: [first] });
  });

  it("do not grow with who spent something, unless that is the question", async () => {
    const house = await houseWith(1);
    const spend = () =>
      rowsOf(() => house.context.orchestrator.spend({ bucket: "hour", by: "role", from: null, to: null }));
    const before = await spend();
    await runInDurableObject(uncounted(env.ORCHESTRATOR, "house-of-1"), (_object, { storage }) => {
      const hour = Date.now() - (Date.now() % 3_600_000);
      for (let i = 0; i < 100; i++)
        storage.sql.exec("INSERT INTO spend VALUES ('hour', ?, ?, 'a model', 'general', 1, 1, 0, 1)", hour, `${i}`);
    });
    expectNoGrowth(await spend(), before);
  });

  it("do not grow with those that wait for something else than what came free", async () => {
    const house = await houseWith(100);
    const wake = () => rowsOf(() => house.context.orchestrator.withdraw(house.id));
    const before = await wake();
    await runInDurableObject(uncounted(env.ORCHESTRATOR, "house-of-100"), (_object, { storage }) => {
      storage.sql.exec("UPDATE instance SET state = 'waiting', waiting_reason = 'children'");
    });
    expectNoGrowth(await wake(), before);
  });
});

describe("the rows of a turn", () => {
  const house = houseOf("house-of-history");

  it("do not grow with what was said before", async () => {
    const id = await spawn(house);
    await turn(house, id);
    const early = await rowsOf(() => turn(house, id));
    for (let i = 0; i < 60; i++) await call(house, "send_to_instance", { instance_id: id, message: "And on." });
    await atRest(house, id);
    const late = await rowsOf(() => turn(house, id));
    const page = await rowsOf(() => call(house, "get_instance_output", { instance_id: id, limit: 5 }));
    expectNoGrowth(late, early);
    expect(page.read).toBeLessThanOrEqual(recorded.rows["a page of output"].read + A_FEW);
  });

  it("do not grow with the messages that wait behind it", async () => {
    const id = await spawn(house);
    const held = Promise.withResolvers<void>();
    scriptModel(async ({ lastUserText }) => {
      if (lastUserText === "Hold.") await held.promise;
      return undefined;
    });
    const queue = async (n: number) => {
      for (let i = 0; i < n; i++)
        await call(house, "send_to_instance", { instance_id: id, message: `${i}`, wait_for_response: false });
    };
    await call(house, "send_to_instance", { instance_id: id, message: "Hold.", wait_for_response: false });
    await queue(100);
    const whole = await rowsOf(async () => {
      held.resolve();
      await atRest(house, id);
    });
    expect(whole.read / 100).toBeLessThanOrEqual(recorded.rows["next turn"].read * MARGIN);
    expect(whole.written / 100).toBeLessThanOrEqual(recorded.rows["next turn"].written * MARGIN);
  });
});

function restore(spies: readonly { mockRestore(): void }[]): void {
  for (const spy of spies) spy.mockRestore();
}

describe("a turn", () => {
  it("waits for no timer, and leaves none behind", async () => {
    const house = houseOf("house-of-timers");
    const id = await spawn(house);
    await turn(house, id);
    const real = globalThis.setTimeout;
    const open = new Map<unknown, string>();
    // Time stands still: whoever sleeps does not wake. Without a delay it is a way to give way, and that goes on.
    const { clearTimeout: clear } = globalThis;
    const spies = [
      vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, ms = 0) => {
        if (ms <= 0) return real(run, 0);
        const timer = Symbol(`${ms} ms`);
        open.set(timer, new Error(`${ms} ms`).stack ?? "");
        return timer;
      }) as unknown as typeof setTimeout),
      vi.spyOn(globalThis, "clearTimeout").mockImplementation((timer) => {
        if (!open.delete(timer)) clear(timer as number);
      }),
      vi.spyOn(scheduler, "wait").mockImplementation(async (ms) => {
        if (Number(ms) > 0) await new Promise(() => undefined);
      }),
    ];
    onTestFinished(() => restore(spies));
    const answer = await dispatch(house.context, "send_to_instance", { instance_id: id, message: "Good day." });
    expect(answer).toMatchObject({ success: true, status: "completed" });
    restore(spies);
    await atRest(house, id);
    expect([...open.values()]).toEqual([]);
  });

  it("leaves no listener on what lives longer", async () => {
    const house = houseOf("house-of-listeners");
    const id = await spawn(house);
    const listening = new Map<EventTarget, number>();
    const count = (target: EventTarget, by: number) => listening.set(target, (listening.get(target) ?? 0) + by);
    const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
    const added = vi.spyOn(EventTarget.prototype, "addEventListener").mockImplementation(function (
      this: EventTarget,
      ...listener
    ) {
      count(this, 1);
      return add.apply(this, listener);
    });
    const removed = vi.spyOn(EventTarget.prototype, "removeEventListener").mockImplementation(function (
      this: EventTarget,
      ...listener
    ) {
      count(this, -1);
      return remove.apply(this, listener);
    });
    for (let i = 0; i < 20; i++) await call(house, "send_to_instance", { instance_id: id, message: "Again." });
    restore([added, removed]);
    expect(listening.size).toBeGreaterThan(0);
    // A call's own signal has one or two, and is gone with it. What has one of every turn outlives them.
    expect(Math.max(...listening.values())).toBeLessThan(5);
  });
});

describe("the list of tools, which every client reads before it begins,", () => {
  it("is not longer than recorded", async () => {
    const response = await request("/mcp", mcpRequest("tools/list"));
    const list = await response.text();
    expect(list).toContain("spawn_claude");
    expect(new TextEncoder().encode(list).length).toBeLessThanOrEqual(recorded.tools_list_bytes * MARGIN);
  });
});
