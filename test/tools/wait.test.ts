/**
 * wait: for messages, instances and jobs, in any number, and through the death of every object.
 */

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { messageIdOf, newInstanceId } from "../../src/platform/ids.ts";
import { cutToJson } from "../../src/tools/wait.ts";
import { output, spawn, tool, until } from "../support/door.ts";
import { endless, installModel, saying, scriptModel } from "../support/model.ts";
import { post, wait } from "../support/waits.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

const idsOf = (entries: readonly { id: string }[]) => entries.map((entry) => entry.id);

describe("wait", () => {
  /** One of everything: what is over in each way, what is at work, what is queued and what rests. */
  async function variety() {
    const [done, failed, busy, resting, ended] = await Promise.all([spawn(), spawn(), spawn(), spawn(), spawn()]);
    const [bad, endlessly] = [`Fail, ${failed}.`, `On and on, ${busy}.`];
    scriptModel((call) => {
      if (call.lastUserText === bad)
        return { fault: { kind: "status", status: 401, type: "authentication_error", message: "no" } };
      return call.lastUserText === endlessly ? endless : saying("Well done.");
    });
    const completed = await post(done, "Do it.");
    const failure = await post(failed, bad);
    const running = await post(busy, endlessly);
    const queued = await post(busy, "Next.");
    await tool("terminate_instance", { instance_id: ended });
    await wait([completed, failure]);
    const ids = { completed, failure, running, queued, busy, resting, ended };
    return { ids: Object.values(ids), ...ids, stop: () => tool("interrupt_instance", { instance_id: busy }) };
  }

  it("says of everything how it stands, in the order asked, each once", async () => {
    const all = await variety();
    const answer = await wait([...all.ids, ...all.ids.toReversed()], { timeout_seconds: 0 });
    expect(answer.done).toEqual([
      {
        id: all.completed,
        kind: "message",
        status: "completed",
        response: expect.objectContaining({ response: "Well done.", message_id: all.completed }),
      },
      {
        id: all.failure,
        kind: "message",
        status: "failed",
        error: "upstream_error",
        message: expect.stringContaining("API key"),
      },
      { id: all.resting, kind: "instance", status: "idle" },
      { id: all.ended, kind: "instance", status: "terminated" },
    ]);
    expect(answer.pending).toEqual([
      { id: all.running, kind: "message", status: "working", doing: "working" },
      { id: all.queued, kind: "message", status: "queued", doing: expect.stringContaining("queued") },
      { id: all.busy, kind: "instance", status: "working", doing: expect.stringContaining(all.running) },
    ]);
    expect(answer.message).toContain("4 of 7");
    await all.stop();
  });

  it("gives the same answer again and again, to everybody, and after every object was evicted or died", async () => {
    const all = await variety();
    const look = async () => {
      const { done, pending, message } = await wait(all.ids, { timeout_seconds: 0 });
      return { message, done, pending: pending.map(({ id, kind }) => ({ id, kind })) };
    };
    const first = await look();
    expect(await look()).toEqual(first);
    expect(await Promise.all([look(), look(), look()])).toEqual([first, first, first]);
    for (const id of all.ids.filter((id) => id === all.resting || id === all.ended)) {
      await evictDurableObject(env.INSTANCE.getByName(`default/${id}`));
    }
    expect(await look()).toEqual(first);
    // Not abortAllDurableObjects: that would end the long wait of this file as well; the last test does it.
    await evictDurableObject(env.ORCHESTRATOR.getByName("default"));
    expect(await look()).toEqual(first);
    await all.stop();
    const later = await wait(all.ids, { timeout_seconds: 10 });
    expect(later.pending).toEqual([]);
    expect(later.done.filter((entry) => idsOf(first.done).includes(entry.id))).toEqual(first.done);
  });

  it.each<[unknown, number]>([
    ["any", 1],
    [1, 1],
    [3, 3],
    ["all", 4],
    [4, 4],
  ])("until %s ends when that many are done, not before and not later", async (howMany, count) => {
    const ids = await Promise.all([spawn(), spawn(), spawn(), spawn()]);
    // They end one after the other, 100 ms apart.
    scriptModel((call) => ({ ...saying("x".repeat(Number(call.lastUserText) * 5)), chunkChars: 1, chunkDelayMs: 20 }));
    const messages = await Promise.all(ids.map((id, i) => post(id, String(i + 1))));
    const mixed = [messages[0], ids[1], messages[2], ids[3]];
    const [one, two] = await Promise.all([wait(mixed, { until: howMany }), wait(mixed, { until: howMany })]);
    for (const { done, pending } of [one, two]) {
      expect(done.length).toBeGreaterThanOrEqual(count);
      expect(done.length + pending.length).toBe(4);
      // On a slow machine one more may be done by the time of the answer; the slowest of four is not.
      if (count === 1) expect(idsOf(pending)).toContain(mixed[3]);
    }
    const { done } = await wait(mixed);
    expect(idsOf(done)).toEqual(mixed);
    // An instance that is at rest has read all its messages, and they are still there to be waited for.
    expect(await wait(messages, { timeout_seconds: 0 })).toMatchObject({ pending: [] });
  });

  it.each<[string, (id: string, message: string) => Record<string, unknown>, string]>([
    ["an unknown instance", () => ({ ids: [newInstanceId()] }), "not_found"],
    ["a message of an unknown instance", () => ({ ids: [messageIdOf(newInstanceId(), 1)] }), "not_found"],
    ["a message that is not there", (id) => ({ ids: [messageIdOf(id, 99)] }), "not_found"],
    [
      "one unknown among known ones",
      (id, message) => ({ ids: [id, message, newInstanceId()], until: "any" }),
      "not_found",
    ],
    ["no id", (id) => ({ ids: [id, "bees"] }), "invalid_input"],
    ["an id in small letters", (id) => ({ ids: [id.toLowerCase()] }), "invalid_input"],
    ["an empty id", () => ({ ids: [""] }), "invalid_input"],
    ["a very long id", () => ({ ids: ["i".repeat(5_000)] }), "invalid_input"],
    ["nothing", () => ({ ids: [] }), "invalid_input"],
    ["more than 500 ids", () => ({ ids: Array.from({ length: 501 }, () => newInstanceId()) }), "invalid_input"],
    ["more than there are", (id, message) => ({ ids: [id, message], until: 3 }), "invalid_input"],
    ["more than there are different ones", (id) => ({ ids: [id, id], until: 2 }), "invalid_input"],
    ["none of them", (id) => ({ ids: [id], until: 0 }), "invalid_input"],
    ["one and a half", (id, message) => ({ ids: [id, message], until: 1.5 }), "invalid_input"],
    ["some", (id) => ({ ids: [id], until: "some" }), "invalid_input"],
    ["a negative time", (id) => ({ ids: [id], timeout_seconds: -1 }), "invalid_input"],
  ])("for %s is refused at once", async (_what, input, error) => {
    const id = await spawn();
    const message = await post(id, "Hello.");
    const began = Date.now();
    const answer = await tool("wait", { timeout_seconds: 20, ...input(id, message) });
    expect(answer).toMatchObject({ success: false, error, message: expect.stringMatching(/\w/) });
    expect(JSON.stringify(answer).length).toBeLessThan(2_000);
    expect(Date.now() - began).toBeLessThan(3_000);
  });

  it("cuts answers that are too long together, says where the rest is, and that is there", async () => {
    const ids = await Promise.all([spawn(), spawn(), spawn()]);
    // The cut falls into the middle of the bee.
    const long = `${"a".repeat(19_999)}🐝 ${"and more ".repeat(2_000)}the end`;
    scriptModel((call) => saying(call.lastUserText === "Briefly." ? "Yes." : long));
    const messages = await Promise.all(ids.map((id, i) => post(id, i === 2 ? "Briefly." : "At length.")));
    const answer = await wait(messages);
    expect(JSON.stringify(answer).length).toBeLessThan(65_000);
    const [first, second, brief] = answer.done;
    for (const cut of [first, second]) {
      expect(cut?.response?.response.length).toBeGreaterThan(10_000);
      expect(long.startsWith(cut?.response?.response.replace(/\uFFFD$/, "") ?? "?")).toBe(true);
      expect(cut?.more).toContain("get_instance_output");
      expect(cut?.more).toContain(String(long.length));
    }
    expect(brief).toMatchObject({ response: { response: "Yes." } });
    expect(brief).not.toHaveProperty("more");
    expect((await output(ids[0] ?? "")).at(-1)?.content).toBe(long);
    // Alone, it has the room.
    expect((await wait([messages[0]])).done).toMatchObject([{ response: { response: long } }]);
  });

  it("cuts what follows a schema as well: the answer stays within its bounds", async () => {
    const ids = await Promise.all([spawn(), spawn(), spawn()]);
    const structured = { text: "b".repeat(40_000) };
    scriptModel(() => saying(JSON.stringify(structured)));
    const response_schema = { type: "object", properties: { text: { type: "string" } }, required: ["text"] };
    const messages = await Promise.all(ids.map((id) => post(id, "As JSON.", { response_schema })));
    const answer = await wait(messages);
    expect(answer.done.map((entry) => entry.status)).toEqual(["completed", "completed", "completed"]);
    expect(JSON.stringify(answer).length).toBeLessThan(65_000);
    for (const entry of answer.done) expect(entry.more).toContain("get_instance_output");
  });
});

describe("an answer cut to its bounds", () => {
  it.each<[string, string, number, string]>([
    ["nothing of a text that fits", "abc", 3, "abc"],
    ["by characters", "abcdef", 4, "abcd"],
    ["by what they take as JSON", '""""""', 5, '""'],
    ["line ends too", "a\n\n\n", 6, "a\n\n"],
    ["no character in the middle", "a🐝b", 2, "a"],
    ["everything without room", "abc", 0, ""],
    ["nothing of an empty text", "", 0, ""],
  ])("cuts %s", (_what, text, room, cut) => {
    expect(cutToJson(text, room)).toBe(cut);
  });

  it("keeps an answer that grows as JSON within its bounds", async () => {
    const ids = await Promise.all([spawn(), spawn(), spawn()]);
    scriptModel(() => saying('"\n'.repeat(25_000)));
    const messages = await Promise.all(ids.map((id) => post(id, "With quotes.")));
    const answer = await wait(messages);
    expect(answer.done.map((entry) => entry.status)).toEqual(["completed", "completed", "completed"]);
    expect(JSON.stringify(answer.done.map((entry) => entry.response)).length).toBeLessThanOrEqual(60_010);
    for (const entry of answer.done) expect(JSON.stringify(entry.response).length).toBeGreaterThan(19_900);
  });
});

describe("a wait for many", () => {
  it("takes two hundred ids in one call, from several callers at once", { timeout: 120_000 }, async () => {
    // However slow the machine is: a wait that ends with something pending is made again.
    const waitForAll = (all: readonly string[]) =>
      until(async () => {
        const answer = await wait(all, { timeout_seconds: 20 });
        return answer.pending.length === 0 && answer;
      }, 110_000);
    const resting = await Promise.all(Array.from({ length: 20 }, () => spawn()));
    const [worker = "", ...others] = await Promise.all(Array.from({ length: 4 }, () => spawn()));
    scriptModel((call) => (call.lastUserText === "First." ? endless : undefined));
    const inboxes = await Promise.all(
      [worker, ...others].map(async (id) => {
        const first = await post(id, "First.");
        await until(async () => (await wait([first], { timeout_seconds: 0 })).pending[0]?.status === "working");
        return [first, ...(await Promise.all(Array.from({ length: 44 }, (_, i) => post(id, `Nr ${i}`))))];
      }),
    );
    const all = [...resting, ...inboxes.flat()];
    expect(new Set(all).size).toBe(200);
    expect(await wait(all, { timeout_seconds: 0 })).toMatchObject({ message: expect.stringContaining("20 of 200") });
    const waits = Promise.all([wait(all, { until: 21 }), wait(all, { until: 150 }), waitForAll(all), waitForAll(all)]);
    for (const id of others) await tool("terminate_instance", { instance_id: id, force: true });
    await tool("interrupt_instance", { instance_id: worker });
    const [next, most, everything, again] = await waits;
    expect(next.done.length).toBeGreaterThanOrEqual(21);
    expect(most.done.length).toBeGreaterThanOrEqual(150);
    expect(everything.pending).toEqual([]);
    expect(idsOf(everything.done)).toEqual(all);
    expect(everything.done.filter((entry) => entry.status === "completed").length).toBeGreaterThanOrEqual(44);
    expect(again).toEqual(everything);
    expect(await wait(all)).toEqual(everything);
  });
});

describe("a wait under way", () => {
  it("outlives the death of every object, and gets its answer", async () => {
    const id = await spawn();
    let calls = 0;
    scriptModel(() => (++calls === 1 ? endless : saying("Here I am again.")));
    const message = await post(id, "Go on.");
    const waiting = Promise.all([wait([message]), wait([id, message], { until: "any" })]);
    await until(async () => calls === 1);
    await abortAllDurableObjects();
    // The alarm that starts the turn again, without the wait for it.
    await runDurableObjectAlarm(env.INSTANCE.getByName(`default/${id}`));
    const [one, two] = await waiting;
    expect(one.done).toMatchObject([{ status: "completed", response: { response: "Here I am again." } }]);
    expect(two.done.length).toBeGreaterThanOrEqual(1);
    expect(await wait([message])).toEqual(one);
  });
});
