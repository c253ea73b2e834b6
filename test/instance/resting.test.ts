/**
 * A turn that waits for somebody, or for a time, rests in its rows: its object may come and go as often as it likes, nothing is
 * written and nobody is woken meanwhile, and the turn goes on when it can. It can always be ended.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Json, request, send, spawn, status, tool, until } from "../support/door.ts";
import { installModel, type Script, scriptModel } from "../support/model.ts";

installModel();
const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);

/** What the model does with a message that begins with a word. */
const calls: Record<string, Script> = {
  ASK: { blocks: [{ type: "tool_use", name: "ask", input: { question: "Blue or red?" } }] },
  WAIT: { blocks: [{ type: "tool_use", name: "wait", input: { ids: ["CHILD"], timeout_seconds: 3600 } }] },
  LIMITED: {
    fault: { kind: "status", status: 500, type: "api_error", message: "Later.", retryAfterSeconds: 200 },
  },
};
let recovered = false;

beforeAll(() => {
  scriptModel((call) => {
    if (call.toolResults.length > 0) return { blocks: [{ type: "text", text: "Done." }] };
    const [word = "", child = ""] = call.lastUserText.split(" ");
    if (word === "LIMITED" && recovered) return { blocks: [{ type: "text", text: "Done." }] };
    const script = calls[word];
    if (!script) return { blocks: [{ type: "text", text: "Fine." }] };
    return JSON.parse(JSON.stringify(script).replace("CHILD", child)) as Script;
  });
});
afterAll(() => scriptModel(() => undefined));

interface State {
  what: string;
  state: string;
  /** Brings an instance there, and returns its id. */
  enter(): Promise<{ id: string; message: string }>;
  /** Does what it waits for. */
  resume(id: string): Promise<unknown>;
  /** How its message ends by a graceful terminate_instance; null: the turn goes on by itself, and is finished first. */
  ends: "cancelled" | "completed" | null;
}

async function begun(id: string, text: string, expected: string): Promise<{ id: string; message: string }> {
  const sent = await send(id, text, { wait_for_response: false });
  await until(async () => (await status(id)).state === expected);
  return { id, message: String(sent.message_id) };
}

const STATES: State[] = [
  {
    what: "paused by a cap",
    state: "paused",
    enter: async () => begun(await spawn({ max_cost: 0.000001 }), "Hello?", "paused"),
    resume: (id) => tool("set_limits", { instance_id: id, max_cost: 1 }),
    ends: "cancelled",
  },
  {
    what: "waiting for a person",
    state: "waiting",
    enter: async () => begun(await spawn({ tools: ["ask"] }), "ASK", "waiting"),
    resume: async (id) => {
      const question = await until(async () => {
        const list = (await (await request("/questions")).json()) as {
          questions: { question_id: string; instance_id: string }[];
        };
        return list.questions.find((open) => open.instance_id === id);
      });
      return tool("answer_question", { question_id: question.question_id, answer: "Blue" });
    },
    ends: "cancelled",
  },
  {
    what: "waiting for a paused child's message",
    state: "waiting",
    enter: async () => {
      const parent = await spawn({ tools: ["wait"] });
      const child = await spawn({ parent_instance_id: parent, tools: ["ask"] });
      const asked = await begun(child, "ASK", "waiting");
      return begun(parent, `WAIT ${asked.message}`, "waiting");
    },
    resume: async (id) => {
      const tree = (await tool("get_instance_tree", { root_id: id })) as Json & { tree: unknown };
      const child = /inst_[0-9A-Z]+/g.exec(JSON.stringify(tree.tree).replaceAll(id, ""))?.[0] ?? "";
      return tool("interrupt_instance", { instance_id: child });
    },
    // The child is ended first, which is what it waits for.
    ends: "completed",
  },
  {
    what: "waiting for the API",
    state: "waiting",
    enter: async () => {
      recovered = false;
      return begun(await spawn(), "LIMITED", "waiting");
    },
    resume: async (id) => {
      recovered = true;
      await runInDurableObject(objectOf(id), (_instance, { storage }) => {
        storage.sql.exec("UPDATE turn SET not_before = 1 WHERE not_before IS NOT NULL");
      });
      await evictDurableObject(objectOf(id));
      await runInDurableObject(objectOf(id), (_instance, { storage }) => storage.setAlarm(Date.now()));
      await runDurableObjectAlarm(objectOf(id));
    },
    ends: null,
  },
];

/** The newest event and the crashes of the open turn, as the rows have them. */
const rowsOf = (id: string) =>
  runInDurableObject(objectOf(id), (_instance, { storage: { sql } }) => ({
    events: sql.exec<{ n: number }>("SELECT MAX(seq) AS n FROM event").one().n,
    crashes: sql.exec<{ n: number }>("SELECT COALESCE(SUM(crashes), 0) AS n FROM turn").one().n,
  }));

describe.each(STATES)("a turn $what", ({ state, enter, resume }) => {
  it("outlasts 25 evictions without a word, and then goes on", async () => {
    const { id, message } = await enter();
    const before = await until(async () => {
      const rows = await rowsOf(id);
      const again = await rowsOf(id);
      return rows.events === again.events && rows;
    });
    for (let i = 0; i < 25; i++) {
      await evictDurableObject(objectOf(id));
      // Whatever wakes the object: an alarm, and a look at it.
      await runDurableObjectAlarm(objectOf(id));
      await tool("get_instance_output", { instance_id: id });
    }
    expect(await rowsOf(id)).toEqual(before);
    expect(await status(id)).toMatchObject({ state });
    await resume(id);
    const done = await tool("wait", { ids: [message], timeout_seconds: 20 });
    expect(done).toMatchObject({ done: [{ id: message, status: "completed" }] });
  });

  it("is woken at no time but one that it waits for, or its idle deadline", async () => {
    const { id } = await enter();
    const at = await until(async () => {
      const alarm = await runInDurableObject(objectOf(id), (_instance, { storage }) => storage.getAlarm());
      return (alarm === null || alarm > Date.now() + 60_000) && { alarm };
    });
    expect(at.alarm === null || at.alarm > Date.now() + 60_000).toBe(true);
  });
});

describe.each(STATES.filter(({ ends }) => ends !== null))("a turn $what", ({ enter, ends }) => {
  it("ends by a graceful terminate_instance", async () => {
    const { id, message } = await enter();
    expect(await tool("terminate_instance", { instance_id: id })).toMatchObject({ success: true });
    const done = await tool("wait", { ids: [message], timeout_seconds: 20 });
    expect(done).toMatchObject({ done: [{ id: message, status: ends }] });
    await until(async () => (await tool("wait", { ids: [id], timeout_seconds: 1 })).done);
  });
});

describe("whoever waits for a paused instance", () => {
  it("is told so at once, from outside", async () => {
    const { id } = await (STATES[0] as State).enter();
    const began = Date.now();
    const answer = await tool("wait", { ids: [id], timeout_seconds: 20 });
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(answer).toMatchObject({ pending: [{ id, status: "paused" }] });
  });

  it("is told so at once, as a parent whose turn waits for it", async () => {
    const parent = await spawn({ tools: ["wait"] });
    const child = await spawn({ parent_instance_id: parent, max_cost: 0.000001 });
    const waiting = await begun(parent, `WAIT ${child}`, "idle").catch(() => undefined);
    expect(waiting).toBeDefined();
    const again = await send(parent, `WAIT ${child}`, { wait_for_response: false });
    await send(child, "Hello?", { wait_for_response: false });
    const done = await tool("wait", { ids: [String(again.message_id)], timeout_seconds: 20 });
    expect(done).toMatchObject({ done: [{ status: "completed" }] });
  });
});
