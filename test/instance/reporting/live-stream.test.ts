/**
 * Following an instance live, and the tenant's event log: from any point, each event once and in order, without the turn
 * noticing that anybody looks.
 */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TenantEvent } from "../../../src/contracts/records.ts";
import { eventStream } from "../../../src/http/rest/event-stream.ts";
import type { Instance } from "../../../src/instance/instance.ts";
import {
  type Cursor,
  cursorText,
  type LiveAnswer,
  parseCursor,
  START,
} from "../../../src/instance/reporting/live-stream.ts";
import { Readers } from "../../../src/instance/reporting/stream-readers.ts";
import type { Orchestrator } from "../../../src/orchestrator/orchestrator.ts";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { type Json, output, request, send, spawn, status, tool } from "../../support/door.ts";
import { installModel, type Script, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

interface Event {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

/** What a stream sends, event by event. Ends with the stream; leaving the loop goes away from it. */
async function* streamOf(path: string, lastEventId?: string): AsyncGenerator<Event> {
  const response = await request(path, lastEventId === undefined ? {} : { headers: { "last-event-id": lastEventId } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
        if (fields.id !== undefined) yield { id: fields.id, event: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    await reader?.cancel();
  }
}

const eventsOf = (id: string, lastEventId?: string) => streamOf(`/instances/${id}/events`, lastEventId);

/** The whole stream, through as many connections as needed, until this many messages have ended. */
async function follow(
  id: string,
  messages: number,
  leave: () => boolean = () => false,
  from?: string,
): Promise<Event[]> {
  const seen: Event[] = [];
  const over = () => seen.filter((event) => isEnd(event)).length >= messages;
  while (!over()) {
    for await (const event of eventsOf(id, seen.at(-1)?.id ?? from)) {
      seen.push(event);
      if (over() || leave()) break;
    }
  }
  return seen;
}

const isEnd = ({ data }: Event) => /^message\.(completed|failed|cancelled|refused)$/.test(String(data.kind));

/** What a reader has of the answer to a message: text put together, begun anew at each restart and with each step. */
function readText(events: readonly Event[], messageId: unknown): string {
  let text = "";
  let step: unknown;
  for (const { event, data } of events) {
    if (data.message_id !== messageId || (event !== "text" && event !== "restart")) continue;
    if (event === "restart" || data.step !== step) text = "";
    step = data.step;
    if (event === "text") text += data.text;
  }
  return text;
}

const kinds = (events: readonly Event[]) => events.map(({ event, data }) => (event === "status" ? data.kind : event));
const LONG = Array.from({ length: 40 }, (_, i) => `Line ${i}: bees — 🐝 and more.\n`).join("");
const slowly = (text: string, chunkDelayMs = 10): Script => ({ ...saying(text), chunkChars: 25, chunkDelayMs });

/** Ends an object at once, with whatever it is doing. Others go on, among them what the last test waits for. */
async function kill(object: DurableObjectStub<Instance> | DurableObjectStub<Orchestrator>): Promise<void> {
  await runInDurableObject(object as DurableObjectStub, (_instance, state) => state.abort("killed")).catch(
    () => undefined,
  );
}

/** The same numbers in 0..1 for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

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
    ["12", { seq: 12, index: null, attempt: null, offset: 0 }],
    ["12.34", { seq: 12, index: 34, attempt: null, offset: 0 }],
    ["12.0", { seq: 12, index: 0, attempt: null, offset: 0 }],
    ["12_5_678", { seq: 12, index: null, attempt: 5, offset: 678 }],
    ["0_1_0", { seq: 0, index: null, attempt: 1, offset: 0 }],
    ["999999999999999", { seq: 999_999_999_999_999, index: null, attempt: null, offset: 0 }],
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

describe("readers of a running answer", () => {
  const answer = (text: string, attempt = 1): LiveAnswer => ({ attempt, n: 1, step: 1, text });

  it("are woken together, once for many pieces, and see the same of it", async () => {
    let live = answer("");
    const readers = new Readers(() => live);
    let woken = 0;
    const wait = () => Promise.all(Array.from({ length: 50 }, () => readers.next(60_000).then(() => (woken += 1))));
    const comes = () => {
      live = answer(`${live.text}a`);
      readers.streamed();
    };
    const first = wait();
    comes();
    expect(readers.shown?.text).toBe("a");
    await first;
    for (let round = 1; round <= 3; round++) {
      const before = readers.shown?.text;
      const all = wait();
      for (let piece = 0; piece < 100; piece++) {
        comes();
        expect(readers.shown?.text).toBe(before);
      }
      await all;
      expect(woken).toBe(50 + round * 50);
      expect(readers.shown?.text).toHaveLength(1 + round * 100);
    }
  });

  it("hear at once of what happened, and of another answer", async () => {
    let live: LiveAnswer | null = answer("some");
    const readers = new Readers(() => live);
    const next = readers.next(60_000);
    readers.streamed();
    readers.wake();
    await next;
    live = answer("new", 2);
    expect(readers.shown).toEqual(live);
    live = null;
    expect(readers.shown).toBeNull();
  });

  it("are fed as they read: a stuck one makes nobody collect anything for it", async () => {
    let pulls = 0;
    const pull = async (cursor: string) => {
      pulls += 1;
      return { events: [{ id: cursor, event: "text", data: "x".repeat(1_000) }], cursor: String(Number(cursor) + 1) };
    };
    const body = eventStream("0", pull).body?.getReader();
    const turnOfEvents = () => new Promise((done) => setTimeout(done, 0));
    for (let i = 0; i < 20; i++) await turnOfEvents();
    expect(pulls).toBeLessThanOrEqual(1);
    for (let reads = 1; reads <= 5; reads++) {
      await body?.read();
      for (let i = 0; i < 20; i++) await turnOfEvents();
      expect(pulls).toBeLessThanOrEqual(reads + 1);
    }
    await body?.cancel();
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

describe("the event log of the tenant", () => {
  const tenantEvents = (query = "", lastEventId?: string) => streamOf(`/events${query}`, lastEventId);

  /** Everything about an instance until an event of this kind. */
  async function logOf(id: string, last: string, query = `?instance_id=${id}`): Promise<TenantEvent[]> {
    const log: TenantEvent[] = [];
    for await (const { id: eventId, event, data } of tenantEvents(query)) {
      const entry = data as unknown as TenantEvent;
      expect({ id: eventId, event }).toEqual({ id: String(entry.seq), event: entry.kind });
      log.push(entry);
      if (entry.kind === last && entry.instance_id === id) break;
    }
    return log;
  }

  const ascending = (log: readonly TenantEvent[]) =>
    log.every((event, i) => i === 0 || event.seq > (log[i - 1]?.seq ?? 0));

  it("has each step of an instance's life, and nothing of what was said", async () => {
    const secrets = { system: "sesame-system", asked: "sesame-asked", said: "sesame-said", tool: "sesame-tool" };
    const id = await spawn({ system_prompt: secrets.system, initial_prompt: `Begin, ${secrets.asked}.` });
    scriptModel((call) =>
      call.toolResults.length === 0 && call.lastUserText.startsWith("Then")
        ? {
            blocks: [
              { type: "text", text: secrets.said },
              { type: "tool_use", name: "lookup", input: { value: secrets.tool } },
            ],
          }
        : saying(`${secrets.said} at last.`),
    );
    const { message_id } = await send(id, `Then ${secrets.asked}.`);
    await tool("interrupt_instance", { instance_id: id, reason: "sesame-reason" });
    await tool("terminate_instance", { instance_id: id });
    const log = await logOf(id, "instance.stopped");
    expect(ascending(log)).toBe(true);
    expect(log.every((event) => event.instance_id === id)).toBe(true);
    expect(log.every((event) => !Number.isNaN(Date.parse(event.at)))).toBe(true);
    expect(log.filter((event) => event.data.message_id === message_id).map((event) => event.kind)).toEqual([
      "message.queued",
      "message.started",
      "model_call.completed",
      "tool.finished",
      "tools.answered",
      "model_call.completed",
      "message.completed",
    ]);
    expect(log.map((event) => event.kind)).toEqual(
      expect.arrayContaining(["instance.spawned", "instance.terminated", "instance.stopped"]),
    );
    expect(log[0]?.kind).toBe("instance.spawned");
    expect(log.find((event) => event.kind === "model_call.completed")?.data).toMatchObject({
      model: expect.any(String),
      input: expect.any(Number),
      output: expect.any(Number),
      cost_nano: expect.any(Number),
      duration_ms: expect.any(Number),
    });
    for (const secret of Object.values(secrets)) expect(JSON.stringify(log)).not.toContain(secret);
  });

  it("tells of failures, waits and cancellations by their codes", async () => {
    const id = await spawn();
    let attempts = 0;
    scriptModel(() => {
      attempts += 1;
      const status = attempts === 1 ? 500 : 401;
      return { fault: { kind: "status", status, type: "api_error", message: "sesame", retryAfterSeconds: 0.1 } };
    });
    const { message_id } = await send(id, "Try.");
    const log = await logOf(id, "message.failed");
    const steps = log.filter(({ kind }) => kind !== "audit.called");
    expect(steps.slice(1).map(({ kind, data }) => [kind, data.message_id, data.error ?? data.reason])).toEqual([
      ["message.queued", message_id, undefined],
      ["message.started", message_id, undefined],
      ["model_call.failed", message_id, "upstream_error"],
      ["message.waiting", message_id, "server_error"],
      ["model_call.failed", message_id, "upstream_error"],
      ["message.failed", message_id, "upstream_error"],
    ]);
    expect(JSON.stringify(log)).not.toContain("sesame");
  });

  it("goes on after any sequence, of all instances or of one, the same every time", async () => {
    const [one, two] = await Promise.all([spawn(), spawn()]);
    for (let i = 0; i < 3; i++) await Promise.all([send(one, `${i}`), send(two, `${i}`)]);
    await tool("terminate_instance", { instance_id: one });
    const own = await logOf(one, "instance.stopped");
    const all = await logOf(one, "instance.stopped", "");
    expect(ascending(all)).toBe(true);
    expect(all.filter((event) => event.instance_id === one)).toEqual(own);
    expect(all.some((event) => event.instance_id === two)).toBe(true);

    const random = randomOf(7);
    const seen: TenantEvent[] = [];
    while (seen.at(-1)?.seq !== all.at(-1)?.seq) {
      const last = seen.at(-1)?.seq;
      for await (const { data } of tenantEvents("", last === undefined ? undefined : String(last))) {
        seen.push(data as unknown as TenantEvent);
        if (random() < 0.2 || seen.length === all.length) break;
      }
    }
    expect(seen).toEqual(all);

    const after = own[3]?.seq ?? 0;
    const rest: TenantEvent[] = [];
    for await (const { data } of tenantEvents(`?instance_id=${one}&after=${after}`)) {
      rest.push(data as unknown as TenantEvent);
      if (rest.at(-1)?.kind === "instance.stopped") break;
    }
    expect(rest).toEqual(own.slice(4));
  });

  it("survives the Orchestrator's end, and never uses a sequence twice", async () => {
    const id = await spawn();
    await send(id, "Hello.");
    const before = await logOf(id, "message.completed");
    await kill(env.ORCHESTRATOR.getByName("default"));
    await send(id, "Hello again.");
    await tool("terminate_instance", { instance_id: id });
    const log = await logOf(id, "instance.stopped");
    expect(log.slice(0, before.length)).toEqual(before);
    expect(ascending(log)).toBe(true);
  });

  it("reaches a reader that waits for it as it happens", async () => {
    const id = await spawn();
    const waiting = logOf(id, "message.completed");
    await new Promise((done) => setTimeout(done, 50));
    const elapsed = stopwatch();
    await send(id, "Hello.");
    expect((await waiting).map((event) => event.kind)).toEqual([
      "instance.spawned",
      "audit.called",
      "message.queued",
      "audit.called",
      "message.started",
      "model_call.completed",
      "message.completed",
    ]);
    expect(elapsed()).toBeLessThan(1_000);
  });

  it.each([
    ["/events?after=bees"],
    ["/events?after=-1"],
    ["/events?after=1.5"],
    ["/events?after="],
    [`/events?after=${"9".repeat(20)}`],
    ["/events?instance_id=bees"],
    ["/events?instance_id="],
  ])("refuses %s", async (path) => {
    const response = await request(path);
    expect(response.status).toBe(400);
    expect((await response.json()) as Json).toMatchObject({ success: false, error: "invalid_input" });
  });

  it("refuses an id that is none of its own", async () => {
    const response = await request("/events", { headers: { "last-event-id": "12_3_4" } });
    expect(response.status).toBe(400);
    await response.text();
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
