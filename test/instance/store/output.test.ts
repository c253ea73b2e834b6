/**
 * What an instance received, said and did, as whoever reads it from outside gets it: all of it, in order, byte for byte.
 */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { isFinal, type MessageView } from "../../../src/contracts/instance.ts";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { installClock } from "../../support/clock.ts";
import { type Output, output, send, spawn, status, tool } from "../../support/door.ts";
import { installModel, type Script, type ScriptCall, scriptModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";

const model = installModel();

const clock = installClock();
/** What the model of an instance says, call by call; the last one for ever. By the instance's name in the message. */
const scripts = new Map<string, Script[]>();

beforeAll(() => {
  scriptModel((call: ScriptCall) => {
    const name = /<([^>]+)>/.exec(JSON.stringify(call.body.messages))?.[1] ?? "";
    const left = scripts.get(name);
    return left && left.length > 1 ? left.shift() : left?.[0];
  });
});

afterAll(() => {
  scriptModel(() => undefined);
});

let serial = 0;
/** An instance whose model says this; its messages have to name it, as `<name>`. */
async function scripted(...steps: Script[]): Promise<{ id: string; name: string }> {
  const name = `reader ${serial++}`;
  scripts.set(name, steps);
  return { id: await spawn({ name }), name };
}

const say = (text: string): Script => ({ blocks: [{ type: "text", text }] });
const look = (value: string, before?: string): Script => ({
  blocks: [
    ...(before ? [{ type: "text" as const, text: before }] : []),
    { type: "tool_use", name: "lookup", input: { value } },
    { type: "tool_use", name: "failing", input: { value } },
  ],
});

interface Page {
  output: Output[];
  count: number;
  next_cursor: string | null;
}

const page = async (id: string, query: Record<string, unknown> = {}) =>
  (await tool("get_instance_output", { instance_id: id, ...query })) as unknown as Page;

async function pages(id: string, limit: number, query: Record<string, unknown> = {}): Promise<Output[][]> {
  const all: Output[][] = [];
  let cursor: string | null = null;
  do {
    const next: Page = await page(id, { limit, ...query, ...(cursor === null ? {} : { cursor }) });
    expect(next.count).toBe(next.output.length);
    all.push(next.output);
    cursor = next.next_cursor;
  } while (cursor !== null);
  return all;
}

/** The end of a message; the clock goes on to wherever it waits for. */
async function settled(id: string, message: string): Promise<MessageView> {
  const sent = await send(id, message, { wait_for_response: false });
  const n = Number(/_(\d+)$/.exec(String(sent.message_id))?.[1]);
  for (;;) {
    const view = await instanceOf(env, "default", id).message(n, 50);
    if (!view.ok) throw new Error(view.error.message);
    if (isFinal(view.value.state)) return view.value;
    const until = view.value.waiting_for?.until;
    if (!until) continue;
    clock.aheadMs += Math.max(0, Date.parse(until) - Date.now() + 1);
    await runDurableObjectAlarm(objectOf(id));
  }
}

describe("a conversation with tools, read from outside", () => {
  let id = "";
  let rows: Output[] = [];
  let started = 0;
  const sent: string[] = [];

  beforeAll(async () => {
    const made = await scripted(
      look("the weather", "Let me see."),
      look("the tides"),
      say("It will be fine."),
      say("You are welcome."),
    );
    id = made.id;
    started = Date.now();
    for (const message of [`Can we sail? <${made.name}>`, "Thank you."]) {
      const answer = await send(id, message);
      sent.push(String(answer.message_id));
      clock.aheadMs += 5_000;
    }
    rows = await output(id);
  });

  it("is complete, in order, each row under the message that it belongs to", () => {
    expect(rows.map((row) => `${row.type} ${sent.indexOf(row.message_id)}`)).toEqual([
      "user 0",
      "progress 0",
      "tool_call 0",
      "tool_call 0",
      "tool_result 0",
      "tool_result 0",
      "tool_call 0",
      "tool_call 0",
      "tool_result 0",
      "tool_result 0",
      "response 0",
      "user 1",
      "response 1",
    ]);
    expect(rows.map((row) => row.message_index)).toEqual(rows.map((_row, index) => index));
  });

  it("holds what was said, what was called with what, and what came of it", () => {
    const texts = rows.filter((row) => ["progress", "response"].includes(row.type)).map((row) => row.content);
    expect(texts).toEqual(["Let me see.", "It will be fine.", "You are welcome."]);
    const read = (type: string) =>
      rows.filter((row) => row.type === type).map((row) => JSON.parse(row.content) as Record<string, unknown>);
    const calls = read("tool_call");
    expect(calls.map(({ id: _, ...call }) => call)).toEqual(
      ["the weather", "the tides"].flatMap((value) => [
        { name: "lookup", input: { value } },
        { name: "failing", input: { value } },
      ]),
    );
    expect(read("tool_result")).toEqual(
      calls.map((call) =>
        call.name === "failing"
          ? { id: call.id, content: "the disk is on fire", is_error: true }
          : { id: call.id, content: `found ${(call.input as { value: string }).value}`, is_error: false },
      ),
    );
  });

  it("has real times that never go back", () => {
    const times = rows.map((row) => Date.parse(row.timestamp));
    expect(rows.every((row) => new Date(row.timestamp).toISOString() === row.timestamp)).toBe(true);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(started);
    expect(times.at(-1)).toBeGreaterThanOrEqual(started + 5_000);
    expect(times.at(-1)).toBeLessThanOrEqual(Date.now());
  });

  it("is the same in pages of any size, and read again", async () => {
    for (let limit = 1; limit <= rows.length + 1; limit++) {
      const read = await pages(id, limit);
      expect(read.flat()).toEqual(rows);
      expect(read).toHaveLength(Math.ceil(rows.length / limit));
      for (const part of read.slice(0, -1)) expect(part).toHaveLength(limit);
    }
    expect(await output(id)).toEqual(rows);
  });

  it("keeps its indexes while it grows", async () => {
    const first = await page(id, { limit: 4 });
    await send(id, "One more.");
    const rest = await page(id, { limit: 1_000, cursor: first.next_cursor ?? "" });
    const grown = [...first.output, ...rest.output];
    expect(grown.slice(0, rows.length)).toEqual(rows);
    expect(grown.map((row) => row.message_index)).toEqual(grown.map((_row, index) => index));
    rows = grown;
  });

  it("starts where `since` says, to the millisecond, also in pages", async () => {
    for (const row of [rows[0], rows[5], rows[11], rows.at(-1)]) {
      const since = row?.timestamp ?? "";
      const expected = rows.filter((other) => other.timestamp >= since);
      expect((await page(id, { since, limit: 1_000 })).output).toEqual(expected);
      expect((await pages(id, 2, { since })).flat()).toEqual(expected);
    }
    const after = new Date(Date.parse(rows.at(-1)?.timestamp ?? "") + 1).toISOString();
    expect(await page(id, { since: after })).toMatchObject({ output: [], count: 0, next_cursor: null });
    expect((await page(id, { since: "2020-01-01", limit: 1_000 })).output).toEqual(rows);
  });

  it.each([
    ["a cursor of somebody else", { cursor: "abc" }],
    ["a negative cursor", { cursor: "-1" }],
    ["a time that is none", { since: "yesterday" }],
    ["no rows at all", { limit: 0 }],
    ["more rows than a page has", { limit: 1_001 }],
  ])("refuses %s", async (_name, query) => {
    expect(await page(id, query)).toMatchObject({ success: false, error: "invalid_input" });
  });

  it("has nothing after its end", async () => {
    expect(await page(id, { cursor: "999999" })).toMatchObject({ output: [], next_cursor: null });
  });
});

describe("a notice", () => {
  it.each<[string, Script, RegExp]>([
    [
      "of a failure",
      { fault: { kind: "status", status: 401, type: "authentication_error", message: "bad key" } },
      /^failed: .*ANTHROPIC_API_KEY/,
    ],
    ["of a refusal", { ...say("no"), stopReason: "refusal" }, /^refused: /],
  ])("%s ends the rows of its message", async (_name, step, content) => {
    const { id, name } = await scripted(step, say("Fine."));
    const failed = await send(id, `<${name}>`);
    await send(id, `And now? <${name}>`);
    const rows = await output(id);
    expect(rows.map((row) => row.type)).toEqual(["user", "notice", "user", "response"]);
    expect(rows[1]).toMatchObject({ content: expect.stringMatching(content), message_id: failed.message_id });
  });
});

describe("a very long answer", () => {
  /** 1 MB of UTF-8 with characters of every length, none of it regular, so that no cut can hide. */
  function long(): string {
    const alphabet = ["a", "Z", "\n", '"', "\\", "é", "ß", "漢", "字", "\u2028", "😀", "👩‍💻", "🇨🇭"];
    let seed = 7;
    let text = "";
    let bytes = 0;
    const size = new TextEncoder();
    while (bytes < 1_000_000) {
      let piece = "";
      for (let i = 0; i < 500; i++) {
        seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
        piece += alphabet[seed % alphabet.length];
      }
      text += piece;
      bytes += size.encode(piece).length;
    }
    return `${text}.`;
  }

  /** A stream with this one text in it, in pieces of bytes that end within lines and characters. */
  function stream(text: string): Response {
    const event = (type: string, data: Record<string, unknown>) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
    const usage = { input_tokens: 10, output_tokens: 1 };
    let events =
      event("message_start", { message: { id: "msg_long", model: "claude-opus-5-5", content: [], usage } }) +
      event("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    for (const [piece] of text.matchAll(/.{1,997}/gsu)) {
      events += event("content_block_delta", { index: 0, delta: { type: "text_delta", text: piece } });
    }
    events +=
      event("content_block_stop", { index: 0 }) +
      event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 300_000 } }) +
      event("message_stop", {});
    const bytes = new TextEncoder().encode(events);
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytes.slice(at, at + 8_191));
        at += 8_191;
        if (at >= bytes.length) controller.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", "request-id": "req_long" } });
  }

  it("comes back byte for byte, in the answer, in the output, and to the model", async () => {
    const text = long();
    expect(new TextEncoder().encode(text).length).toBeGreaterThan(1_000_000);
    const { id, name } = await scripted(say("Yes."));
    // The simulator keeps to max_tokens, and no model may write this much: it comes from beside it.
    const network = vi.mocked(globalThis.fetch);
    const simulated = network.getMockImplementation();
    network.mockImplementationOnce(async () => stream(text));
    const answer = await send(id, `Tell me all. <${name}>`, { timeout_seconds: 50 });
    expect(network.getMockImplementation()).toBe(simulated);
    expect(answer).toMatchObject({ status: "completed", response: { tokens_used: 300_010 } });
    expect((answer.response as { response: string }).response === text).toBe(true);
    const rows = await output(id);
    expect(rows.map((row) => row.type)).toEqual(["user", "response"]);
    expect(rows[1]?.content === text).toBe(true);
    await send(id, "Did you say all that?");
    const messages = model.callsAbout(`<${name}>`).at(-1)?.messages as { content: { text?: string }[] }[];
    expect(messages[1]?.content[0]?.text === text).toBe(true);
  });

  it("of a megabyte does not fit a page with another, and each comes whole", async () => {
    const text = "😀".repeat(250_000);
    const { id, name } = await scripted(say("Taken."));
    for (let i = 0; i < 3; i++) await send(id, `${text} ${i} <${name}>`.slice(0, 1_000_000));
    // So much text is summarized on the way, which a notice says.
    const read = (await pages(id, 1_000)).flat().filter((row) => row.type !== "notice");
    expect(read.map((row) => row.type)).toEqual(["user", "response", "user", "response", "user", "response"]);
    for (const [i, row] of read.filter((row) => row.type === "user").entries())
      expect(row.content === `${text} ${i} <${name}>`).toBe(true);
  });
});

describe("response_schema", () => {
  const response_schema = {
    type: "object",
    properties: { decision: { type: "string", enum: ["yes", "no"] }, score: { type: "integer", minimum: 1 } },
    required: ["decision", "score"],
  };

  it("gives a valid answer parsed, and as it was said", async () => {
    const said = ' {"decision": "yes", "score": 3}\n';
    const { id, name } = await scripted(say(said));
    const answer = await send(id, `Yes or no? <${name}>`, { response_schema });
    expect(answer).toMatchObject({
      status: "completed",
      response: { response: said, structured: { decision: "yes", score: 3 } },
    });
    const [call] = model.callsAbout(`<${name}>`);
    expect(call?.output_config).toMatchObject({ format: { type: "json_schema" } });
  });

  const bad = {
    "no JSON": "I would say yes.",
    "of another shape": '{"decision": "maybe", "score": 3}',
    "against a rule that the API does not know": '{"decision": "yes", "score": 0}',
    "cut off": '{"decision": "yes", "sco',
  };

  it.each(Object.entries(bad))("has an answer repaired that is %s, in one more call", async (_name, text) => {
    const { id, name } = await scripted(say(text), say('{"decision":"no","score":1}'));
    const answer = await send(id, `Yes or no? <${name}>`, { response_schema });
    expect(answer).toMatchObject({ status: "completed", response: { structured: { decision: "no", score: 1 } } });
    expect(model.callsAbout(`<${name}>`)).toHaveLength(2);
    expect(await status(id)).toMatchObject({ request_count: 2, error_count: 0 });
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "progress", "notice", "response"]);
  });

  it.each(Object.entries(bad))("fails when the answer is twice %s, and keeps the text", async (_name, text) => {
    const { id, name } = await scripted(say(text), say(`${text} Indeed.`), say("never asked for"));
    const answer = await send(id, `Yes or no? <${name}>`, { response_schema });
    expect(answer).toMatchObject({ success: false, status: "failed", error: "schema_mismatch" });
    expect(answer.details).toMatchObject({ raw: `${text} Indeed.` });
    expect(model.callsAbout(`<${name}>`)).toHaveLength(2);
    const rows = await output(id);
    expect(rows.filter((row) => row.type === "progress").map((row) => row.content)).toEqual([text, `${text} Indeed.`]);
    expect(rows.some((row) => row.type === "response")).toBe(false);
    // And on it goes, without a schema.
    expect(await send(id, "Never mind.")).toMatchObject({ status: "completed" });
  });

  it("holds for the message that it came with, and for answers after tools", async () => {
    const { id, name } = await scripted(look("it"), say('{"decision":"no","score":1}'), say("Free text."));
    expect(await send(id, `Yes or no? <${name}>`, { response_schema })).toMatchObject({
      response: { structured: { decision: "no" } },
    });
    const free = await send(id, "And in your own words?");
    expect(free.response).not.toHaveProperty("structured");
    expect(free).toMatchObject({ response: { response: "Free text." } });
  });

  it("that is none is refused before anything is kept", async () => {
    const id = await spawn();
    const answer = await send(id, "Yes or no?", { response_schema: { type: "no such type" } });
    expect(answer).toMatchObject({ success: false, error: "invalid_input" });
    expect(await output(id)).toEqual([]);
  });
});

describe("what the rows add up to", () => {
  const broken: Script = {
    ...say("A long beginning that is lost."),
    fault: { kind: "error_event", type: "overloaded_error", message: "busy", afterChars: 9 },
  };
  const cut: Script = { ...say("A beginning."), fault: { kind: "eof", afterChars: 4 } };
  const denied: Script = { fault: { kind: "status", status: 401, type: "authentication_error", message: "no" } };
  const silent: Script = { blocks: [{ type: "thinking", thinking: "Hm." }], stopReason: "max_tokens" };

  it.each<[string, Script[], MessageView["state"]]>([
    ["an answer", [say("Yes.")], "completed"],
    ["tools", [look("a", "Well."), look("b"), say("Yes.")], "completed"],
    ["an answer after one that broke off", [broken, say("Yes.")], "completed"],
    ["an answer after tools and two that broke off", [look("a"), broken, cut, say("Yes.")], "completed"],
    ["a failure after one that broke off", [broken, denied], "failed"],
    ["answers that break off for ever", [cut], "failed"],
    ["a refusal", [{ ...say("no"), stopReason: "refusal" }], "refused"],
    ["thinking alone, and then no room", [silent], "failed"],
    ["a repaired answer", [say("no JSON"), say('{"a":1}')], "completed"],
  ])("is what the instance used, and the message: %s", async (_name, steps, state) => {
    const { id, name } = await scripted(...steps);
    const view = await settled(id, `<${name}>`);
    expect(view.state).toBe(state);
    const rows = await output(id);
    const tokens = rows.reduce((sum, row) => sum + row.tokens_used, 0);
    const cost = rows.reduce((sum, row) => sum + row.cost, 0);
    const record = await status(id);
    const attempts = await runInDurableObject(objectOf(id), (_instance, { storage: { sql } }) =>
      sql
        .exec<{ tokens: number; cost: number }>(
          "SELECT SUM(input + output + cache_write_5m + cache_write_1h) AS tokens, SUM(cost_nano) AS cost FROM model_call",
        )
        .one(),
    );
    expect(record.total_tokens_used).toBe(attempts.tokens);
    // What broke off is counted by the ledger, at its reservation, and stands on no row.
    const settledCost = Number(record.total_cost) - Number(record.unsettled_cost);
    expect(settledCost).toBeCloseTo(attempts.cost / 1e9, 9);
    if (view.response) expect(view.response).toMatchObject({ tokens_used: attempts.tokens });
    expect({ tokens, cost: cost.toFixed(9) }).toEqual({
      tokens: record.total_tokens_used,
      cost: settledCost.toFixed(9),
    });
  });
});
