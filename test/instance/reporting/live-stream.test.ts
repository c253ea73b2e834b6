/**
 * Following an instance live: from any point, each event once and in order, without the turn noticing that anybody looks.
 */

import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Cursor, cursorText, parseCursor, START } from "../../../src/instance/reporting/live-stream.ts";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { type Json, output, request, send, spawn, status, tool } from "../../support/door.ts";
import {
  type Event,
  eventsOf,
  follow,
  isEnd,
  kill,
  kinds,
  LONG,
  readText,
  slowly,
  streamOf,
} from "../../support/events.ts";
import { installModel, saying, scriptModel } from "../../support/model.ts";
import { randomOf } from "../../support/random.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

/** Begins before all other tests, as it takes as long as a reader is kept waiting. */
let idle: Promise<{ ms: number; text: string }>;

beforeAll(async () => {
  scriptModel(() => undefined);
  const id = await spawn();
  await send(id, "Hello.");
  const began = Date.now();
  idle = request(`/instances/${id}/events`)
    .then((response) => response.text())
    .then((text) => ({ text, ms: Date.now() - began }));
});

describe("a cursor", () => {
  it.each<[string, Cursor]>([
    ["0", START],
    ["12", { seq: 12, index: null, callId: null, offset: 0 }],
    ["12.34", { seq: 12, index: 34, callId: null, offset: 0 }],
    ["12.0", { seq: 12, index: 0, callId: null, offset: 0 }],
    ["12_5_678", { seq: 12, index: null, callId: 5, offset: 678 }],
    ["0_1_0", { seq: 0, index: null, callId: 1, offset: 0 }],
    ["999999999999999", { seq: 999_999_999_999_999, index: null, callId: null, offset: 0 }],
  ])("%s is read and written", (text, cursor) => {
    expect(parseCursor(text)).toEqual(cursor);
    expect(cursorText(cursor)).toBe(text);
  });

  it.each([
    "",
    " ",
    "-1",
    "+1",
    "1.5.2",
    "1_2",
    "1_2_",
    "1_2_3_4",
    "1.2_3_4",
    "0x1",
    "1e3",
    "１",
    "1\n",
    "bees",
    "1 ",
    "9".repeat(16),
  ])("is not %j", (text) => {
    expect(parseCursor(text)).toBeNull();
  });
});

describe("the events of an instance", () => {
  it("tell of a turn: what happened, what was said while it was said, and the output", async () => {
    const id = await spawn();
    scriptModel((call) =>
      call.toolResults.length === 0
        ? {
            blocks: [
              { type: "text", text: "Let me see. " },
              { type: "tool_use", name: "lookup", input: { value: "bees" } },
            ],
          }
        : slowly(LONG),
    );
    const { message_id } = await send(id, "Look them up.", { wait_for_response: false });
    const events = await follow(id, 1);
    expect(readText(events, message_id)).toBe(LONG);
    expect(events.filter((event) => event.event === "text").length).toBeGreaterThan(5);
    // What it says is each time followed by what it committed; text of one answer stands in one piece.
    expect(kinds(events).filter((kind, i, all) => kind !== all[i - 1])).toEqual([
      "message.queued",
      "output",
      "message.started",
      "text",
      "output",
      "model_call.completed",
      "tool.finished",
      "output",
      "tools.answered",
      "text",
      "output",
      "model_call.completed",
      "message.completed",
    ]);
    const rows = events.filter((event) => event.event === "output").map((event) => event.data);
    expect(rows).toEqual(await output(id));
    expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
  });

  it.each([1, 2, 3])(
    "come each once and in order to a reader that comes and goes as it likes (seed %i)",
    async (seed) => {
      const random = randomOf(seed);
      const id = await spawn();
      const [first, second] = [`${LONG}first`, `${LONG}second`];
      scriptModel((call) => {
        if (call.lastUserText === "One.") return slowly(first, 3);
        if (call.toolResults.length === 0)
          return {
            blocks: [
              { type: "text", text: "Wait. " },
              { type: "tool_use", name: "lookup", input: { value: "a" } },
              { type: "tool_use", name: "lookup", input: { value: "b" } },
            ],
          };
        return slowly(second, 3);
      });
      const one = await send(id, "One.", { wait_for_response: false });
      const two = await send(id, "Two.", { wait_for_response: false });
      const constant = follow(id, 2);
      const fickle = await follow(id, 2, () => random() < 0.35);
      expect(readText(fickle, one.message_id)).toBe(first);
      expect(readText(fickle, two.message_id)).toBe(second);
      const rest = (events: readonly Event[]) => events.filter((event) => event.event !== "text");
      expect(rest(fickle).map(({ event, data }) => ({ event, data }))).toEqual(
        rest(await constant).map(({ event, data }) => ({ event, data })),
      );
      expect(kinds(fickle)).not.toContain("restart");
      expect(new Set(fickle.map((event) => event.id)).size).toBe(fickle.length);
      // Each event's id is a point to go on from, also long after.
      const at = Math.floor(random() * (fickle.length - 1));
      const late = await follow(id, 2 - fickle.slice(0, at + 1).filter(isEnd).length, () => false, fickle[at]?.id);
      const joined = [...fickle.slice(0, at + 1), ...late];
      expect(rest(joined)).toEqual(rest(fickle));
      expect(readText(joined, one.message_id)).toBe(first);
      expect(readText(joined, two.message_id)).toBe(second);
    },
  );

  it("come whole to a reader that comes when all is over", async () => {
    const id = await spawn();
    scriptModel(() => saying(LONG));
    const { message_id } = await send(id, "Tell me.");
    const early = await follow(id, 1);
    expect(readText(early, message_id)).toBe(LONG);
    await kill(env.INSTANCE.getByName(`default/${id}`));
    expect(await follow(id, 1)).toEqual(early);
    expect(await follow(id, 1, undefined, "0")).toEqual(early);
    const after: Event[] = [];
    for await (const event of streamOf(`/instances/${id}/events?after=${early[1]?.id}`)) {
      after.push(event);
      if (isEnd(event)) break;
    }
    expect(after).toEqual(early.slice(2));
  });

  it("say so when an answer is begun anew after its attempt died", async () => {
    const id = await spawn();
    let attempts = 0;
    scriptModel(() => {
      attempts += 1;
      return attempts > 1 ? slowly(LONG) : { ...slowly(LONG), fault: { kind: "reset", afterChars: 500 } };
    });
    const { message_id } = await send(id, "Go on.", { wait_for_response: false });
    const events = await follow(id, 1);
    expect(attempts).toBe(2);
    expect(kinds(events).filter((kind, i, all) => kind !== all[i - 1])).toEqual([
      "message.queued",
      "output",
      "message.started",
      "text",
      "model_call.failed",
      "message.waiting",
      "restart",
      "text",
      "output",
      "model_call.completed",
      "message.completed",
    ]);
    expect(events.filter((event) => event.event === "restart").map((event) => event.data)).toEqual([
      { message_id, step: 1 },
    ]);
    expect(readText(events, message_id)).toBe(LONG);
    // Whoever did not see the first attempt is spared the second beginning.
    const late = await follow(id, 1);
    expect(kinds(late)).not.toContain("restart");
    expect(readText(late, message_id)).toBe(LONG);
  });

  it("say so as well to a reader that was away when the attempt died", async () => {
    const id = await spawn();
    let attempts = 0;
    scriptModel(() => {
      attempts += 1;
      return attempts > 1 ? saying(LONG) : { ...slowly(LONG), fault: { kind: "reset", afterChars: 1_000 } };
    });
    const { message_id } = await send(id, "Go on.", { wait_for_response: false });
    const seen: Event[] = [];
    for await (const event of eventsOf(id)) {
      seen.push(event);
      if (event.event === "text") break;
    }
    expect(await tool("wait", { ids: [message_id] })).toMatchObject({ pending: [] });
    seen.push(...(await follow(id, 1, undefined, seen.at(-1)?.id)));
    expect(kinds(seen)).toContain("restart");
    expect(readText(seen, message_id)).toBe(LONG);
  });

  it("say so when the object died in the middle of an answer, and go on", async () => {
    const id = await spawn();
    let attempts = 0;
    scriptModel(() => {
      attempts += 1;
      return slowly(LONG, attempts > 1 ? 1 : 40);
    });
    const { message_id } = await send(id, "Go on.", { wait_for_response: false });
    const seen: Event[] = [];
    for await (const event of eventsOf(id)) {
      seen.push(event);
      if (event.event === "text") break;
    }
    await kill(env.INSTANCE.getByName(`default/${id}`));
    // The alarm that starts the turn again, without the wait for it.
    await runDurableObjectAlarm(env.INSTANCE.getByName(`default/${id}`));
    seen.push(...(await follow(id, 1, undefined, seen.at(-1)?.id)));
    expect(attempts).toBe(2);
    expect(kinds(seen)).toEqual(expect.arrayContaining(["model_call.lost", "turn.recovered", "restart"]));
    expect(readText(seen, message_id)).toBe(LONG);
  });

  it("go on with the next answer when one was dropped, because the conversation had to be summarized first", async () => {
    // A model that binds no thinking to what came before, and a past that ends with the user's words.
    const id = await spawn({ model: "claude-opus-4-8" });
    scriptModel(() => slowly(LONG, 50));
    await send(id, "Hello.", { timeout_seconds: 0.1 });
    await tool("interrupt_instance", { instance_id: id });
    const before = (await follow(id, 1)).at(-1)?.id;
    let attempts = 0;
    scriptModel((call) => {
      if (call.body.compaction)
        return { autoThinking: false, blocks: [{ type: "raw", block: { type: "compaction", content: "They met." } }] };
      attempts += 1;
      return attempts > 1
        ? slowly(LONG)
        : { blocks: [{ type: "thinking", thinking: "Too much." }], stopReason: "model_context_window_exceeded" };
    });
    const { message_id } = await send(id, "Go on.", { wait_for_response: false });
    const events = await follow(id, 1, undefined, before);
    expect(await tool("wait", { ids: [message_id] })).toMatchObject({ done: [{ response: { response: LONG } }] });
    expect(attempts).toBe(2);
    expect(readText(events, message_id)).toBe(LONG);
  });

  it("do not begin the next answer anew when one was stopped", async () => {
    const id = await spawn();
    scriptModel((call) => (call.lastUserText === "On and on." ? slowly(LONG.repeat(10), 50) : slowly(LONG, 2)));
    const first = await send(id, "On and on.", { wait_for_response: false });
    const seen: Event[] = [];
    for await (const event of eventsOf(id)) {
      seen.push(event);
      if (event.event === "text") break;
    }
    expect(await tool("interrupt_instance", { instance_id: id })).toMatchObject({ interrupted: [first.message_id] });
    const second = await send(id, "Be brief.", { wait_for_response: false });
    seen.push(...(await follow(id, 2, undefined, seen.at(-1)?.id)));
    expect(kinds(seen)).not.toContain("restart");
    expect(readText(seen, second.message_id)).toBe(LONG);
  });

  it("cost the turn nothing: however many read, and one that never does", async () => {
    const id = await spawn();
    scriptModel(() => slowly(LONG, 5));
    const stuck = await request(`/instances/${id}/events`);
    const { message_id } = await send(id, "Go on.", { wait_for_response: false });
    const readers = await Promise.all([
      follow(id, 1),
      follow(id, 1),
      ...Array.from({ length: 10 }, () => follow(id, 1)),
    ]);
    for (const events of readers) expect(readText(events, message_id)).toBe(LONG);
    expect(model.callsAbout("Go on.").length).toBeGreaterThan(0);
    expect(await status(id)).toMatchObject({ request_count: 1, error_count: 0 });
    await stuck.body?.cancel();
  });

  it.each([
    ["bees", 400, "invalid_input"],
    ["12.34.56", 400, "invalid_input"],
    ["-1", 400, "invalid_input"],
    ["1_2", 400, "invalid_input"],
    ["9".repeat(40), 400, "invalid_input"],
  ])("are not sent after the id %j, which none of them has", async (lastEventId, code, error) => {
    const id = await spawn();
    for (const response of [
      await request(`/instances/${id}/events`, { headers: { "last-event-id": lastEventId } }),
      await request(`/instances/${id}/events?after=${lastEventId}`),
    ]) {
      expect(response.status).toBe(code);
      expect((await response.json()) as Json).toMatchObject({ success: false, error });
    }
  });

  it.each([
    ["an unknown instance", newInstanceId(), 404, "not_found"],
    ["no instance id", "bees", 400, "invalid_input"],
  ])("are not there for %s", async (_what, id, code, error) => {
    const response = await request(`/instances/${id}/events`);
    expect(response.status).toBe(code);
    expect((await response.json()) as Json).toMatchObject({ success: false, error });
  });

  it("of a terminated instance can be read, and then end", async () => {
    const [used, unused] = [await spawn(), await spawn()];
    await send(used, "Hello.");
    for (const id of [used, unused]) await tool("terminate_instance", { instance_id: id });
    const text = await (await request(`/instances/${unused}/events`)).text();
    expect(text).toMatch(/^retry: \d+\n\n/);
    expect(text).not.toContain("event:");
    const seen: unknown[] = [];
    for await (const event of eventsOf(used)) {
      seen.push(event.data.kind);
      if (event.data.kind === "instance.stopped") break;
    }
    expect(seen).toContain("message.completed");
  });
});

describe("the stream of an idle instance", () => {
  it("says when to come back, tells what there is, and ends by itself", async () => {
    const { text, ms } = await idle;
    expect(text).toMatch(/^retry: \d+\n\n/);
    expect(text).toContain("event: output");
    expect(ms).toBeLessThan(15_000);
  });
});
