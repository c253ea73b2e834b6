/**
 * Answers with a `response_schema`, through the public door: what the API is asked for, what becomes of each answer, and what
 * no schema can do to the server.
 */

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { installClock } from "../../support/clock.ts";
import { watchCommits } from "../../support/commits.ts";
import { type Json, output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type Script, scriptModel } from "../../support/model.ts";

const model = installModel();
const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);

/** What the model of a conversation says, call by call; by the name in its messages. */
const scripts = new Map<string, Script[]>();
const clock = installClock();

beforeAll(() => {
  scriptModel((call) => scripts.get(/<([^>]+)>/.exec(JSON.stringify(call.body.messages))?.[1] ?? "")?.shift());
});

afterAll(() => {
  scriptModel(() => undefined);
});

const say = (value: unknown): Script => ({
  blocks: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }],
});

let serial = 0;
/** A message with a schema to a fresh instance whose model says these things, one a call. */
async function ask(schema: unknown, ...said: Script[]) {
  const name = `asked ${serial++}`;
  scripts.set(name, said);
  const id = await spawn({ name });
  const answer = await send(id, `Well? <${name}>`, { response_schema: schema });
  return { id, name, answer, calls: model.callsAbout(`<${name}>`) };
}

const formatOf = (call: Json | Record<string, unknown> | undefined) =>
  (call?.output_config as { format?: unknown } | undefined)?.format;

const text = { type: "string" };
const object = (properties: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  type: "object",
  properties,
  ...more,
});
const numbered = (n: number, part: unknown) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, part]));
const tree = {
  $ref: "#/$defs/node",
  $defs: { node: object({ v: { type: "integer" }, next: { $ref: "#/$defs/node" } }, { required: ["v"] }) },
};

interface Shape {
  schema: Record<string, unknown>;
  /** How the API is asked: by `output_config.format`, or in the conversation. */
  by: "format" | "conversation";
  fits: unknown;
  differs: unknown;
}

const SHAPES: Record<string, Shape> = {
  "an object": {
    schema: object({ a: { type: "integer", minimum: 1 } }, { required: ["a"] }),
    by: "format",
    fits: { a: 1 },
    differs: { a: 0 },
  },
  "definitions of draft-07": {
    schema: {
      $schema: "http://json-schema.org/draft-07/schema#",
      $ref: "#/definitions/A",
      definitions: { A: object({ b: { $ref: "#/definitions/B" } }, { required: ["b"] }), B: { enum: ["x", "y"] } },
    },
    by: "format",
    fits: { b: "x" },
    differs: { b: "z" },
  },
  alternatives: {
    schema: object({ a: { oneOf: [text, { type: "array", items: text }] } }, { required: ["a"] }),
    by: "format",
    fits: { a: ["x"] },
    differs: { a: 1 },
  },
  "a map": {
    schema: object({ scores: { type: "object", additionalProperties: { type: "integer" } } }, { required: ["scores"] }),
    by: "conversation",
    fits: { scores: { ada: 3, bob: 4 } },
    differs: { scores: { ada: "three" } },
  },
  patternProperties: {
    schema: { type: "object", patternProperties: { "^x-": text }, additionalProperties: false },
    by: "conversation",
    fits: { "x-a": "b" },
    differs: { a: "b" },
  },
  "a tree": {
    schema: tree,
    by: "conversation",
    fits: { v: 1, next: { v: 2, next: { v: 3 } } },
    differs: { v: 1, next: { v: "2" } },
  },
  "30 optional properties": {
    schema: object(numbered(30, text)),
    by: "conversation",
    fits: { p3: "x", p29: "y" },
    differs: { p3: 3 },
  },
  "20 nullable properties": {
    schema: object(numbered(20, { type: ["string", "null"] }), { required: Object.keys(numbered(20, 0)) }),
    by: "conversation",
    fits: numbered(20, null),
    differs: numbered(19, "x"),
  },
  "a tuple": {
    schema: { type: "array", prefixItems: [text, { type: "number" }], items: false, minItems: 2 },
    by: "conversation",
    fits: ["a", 1],
    differs: [1, "a"],
  },
  "anything in a list": {
    schema: object({ rows: { type: "array", items: {} } }, { required: ["rows"] }),
    by: "conversation",
    fits: { rows: [1, { a: [null] }] },
    differs: { rows: {} },
  },
  "a condition": {
    schema: object(
      { kind: { enum: ["a", "b"] }, x: text },
      // biome-ignore lint/suspicious/noThenProperty: it is a keyword.
      { if: { properties: { kind: { const: "a" } } }, then: { required: ["x"] } },
    ),
    by: "conversation",
    fits: { kind: "a", x: "y" },
    differs: { kind: "a" },
  },
};

describe.each(Object.entries(SHAPES))("response_schema with %s", (_what, { schema, by, fits, differs }) => {
  it(`is asked for by ${by}, and gives what the model answers`, async () => {
    const { answer, calls, id } = await ask(schema, say(fits));
    expect(answer).toMatchObject({ status: "completed", response: { structured: fits } });
    expect(answer.response).not.toHaveProperty("unchecked");
    expect(calls).toHaveLength(1);
    expect(formatOf(calls[0]) !== undefined).toBe(by === "format");
    expect(JSON.stringify(calls[0]?.messages).includes("JSON Schema")).toBe(by === "conversation");
    expect((await output(id)).filter((row) => row.type === "notice")).toHaveLength(by === "format" ? 0 : 1);
  });

  it("has another answer repaired once", async () => {
    const { answer, calls } = await ask(schema, say(differs), say(fits));
    expect(answer).toMatchObject({ status: "completed", response: { structured: fits } });
    expect(calls).toHaveLength(2);
    expect(JSON.stringify(calls[1]?.messages)).toContain("does not follow the required schema: #");
  });

  it("fails when the answer is another one twice, and keeps its text", async () => {
    const { answer, calls } = await ask(schema, say(differs), say(differs), say(fits));
    expect(answer).toMatchObject({
      status: "failed",
      error: "schema_mismatch",
      details: { raw: JSON.stringify(differs) },
    });
    expect(calls).toHaveLength(2);
  });

  // The simulator does not solve conditions.
  it.skipIf(schema.if)("is answered without a model as well", async () => {
    const id = await spawn();
    const answer = await send(id, "Anything.", { response_schema: schema });
    expect(answer).toMatchObject({ status: "completed", response: { structured: expect.anything() } });
  });
});

describe("an answer in JSON", () => {
  it.each([
    ["in a code fence", 'Here it is:\n```json\n{"a": "x"}\n```\n'],
    ["with space around it", ' \n{"a": "x"}\n'],
  ])("%s is taken, and its text stays as it was said", async (_what, said) => {
    const { answer } = await ask(object({ a: text }, { required: ["a"], additionalProperties: {} }), say(said));
    expect(answer).toMatchObject({ response: { response: said, structured: { a: "x" } } });
  });

  it("gets the capitals of the schema's own values, which the API does not guarantee", async () => {
    const schema = object({ a: { type: "array", items: { enum: ["New York", "Rome"] } }, b: { const: "Yes" } });
    const { answer, calls } = await ask(schema, say({ a: ["new york", "ROME", "Rome"], b: "yes" }));
    expect(answer).toMatchObject({ response: { structured: { a: ["New York", "Rome", "Rome"], b: "Yes" } } });
    expect(calls).toHaveLength(1);
  });

  it("after tools, in a schema that stands in the conversation", async () => {
    const look: Script = { blocks: [{ type: "tool_use", name: "lookup", input: { value: "it" } }] };
    const schema = { type: "object", additionalProperties: text };
    const { answer, calls, name, id } = await ask(schema, look, say({ a: "b" }), say("Free text."));
    expect(answer).toMatchObject({ response: { structured: { a: "b" } } });
    expect(calls.map(formatOf)).toEqual([undefined, undefined]);
    expect(await send(id, `And now? <${name}>`)).toMatchObject({ response: { response: "Free text." } });
  });

  it("too deep to be looked at is no answer", async () => {
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const { answer } = await ask({ type: "array", items: {} }, say(deep), say(deep));
    expect(answer).toMatchObject({
      status: "failed",
      error: "schema_mismatch",
      message: expect.stringMatching(/nested/),
    });
  });
});

describe("a schema that the API refuses after all", () => {
  const schema = object({ a: text }, { required: ["a"] });
  const refusal: Script = {
    fault: {
      kind: "status",
      status: 400,
      type: "invalid_request_error",
      message: "Schema is too complex for compilation.",
    },
  };

  it("goes into the conversation, and the turn goes on", async () => {
    const { answer, calls, id } = await ask(schema, refusal, say({ a: "x" }));
    expect(answer).toMatchObject({ status: "completed", response: { structured: { a: "x" } } });
    expect(calls.map((call) => formatOf(call) !== undefined)).toEqual([true, false]);
    expect(await output(id)).toContainEqual(
      expect.objectContaining({ type: "notice", content: expect.stringContaining("too complex") }),
    );
  });

  it("fails with the API's words when that is refused as well, and the next message is answered", async () => {
    const { answer, calls, id } = await ask(schema, refusal, refusal);
    expect(answer).toMatchObject({
      status: "failed",
      error: "upstream_error",
      message: expect.stringContaining("too complex"),
    });
    expect(calls).toHaveLength(2);
    expect(await send(id, "hi")).toMatchObject({ status: "completed" });
  });
});

describe("a pattern that can't be checked", () => {
  it("is left to the model, and the answer says so", async () => {
    const schema = object(
      { a: { type: "string", pattern: "^(?!x)a" }, b: { type: "integer" } },
      { required: ["a", "b"] },
    );
    const { answer } = await ask(schema, say({ a: "xa", b: 1 }));
    expect(answer).toMatchObject({
      status: "completed",
      response: {
        structured: { a: "xa", b: 1 },
        unchecked: [{ path: "#/properties/a/pattern", reason: expect.stringContaining("looks around") }],
      },
    });
    const other = await ask(schema, say({ a: "xa", b: "1" }), say({ a: "a", b: 1 }));
    expect(other.calls).toHaveLength(2);
  });
});

describe("a schema that was made to hang the server", () => {
  const doubling = (levels: number) => {
    const $defs: Record<string, unknown> = { [`d${levels}`]: text };
    for (let i = 0; i < levels; i++)
      $defs[`d${i}`] = { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] };
    return object({ a: { $ref: "#/$defs/d0" } }, { required: ["a"], $defs });
  };
  it.each<[string, Record<string, unknown>, unknown]>([
    [
      "by a pattern that backtracks",
      object({ a: { type: "string", pattern: "^(a+)+$" } }),
      { a: `${"a".repeat(2_000)}!` },
    ],
    ["by references that double", doubling(40), { a: 5 }],
    ["by references that double in the conversation", { ...doubling(40), additionalProperties: text }, { a: 5 }],
  ])("%s fails like any other", async (_what, schema, value) => {
    const started = performance.now();
    const { answer, id } = await ask(schema, say(value), say(value));
    expect(answer).toMatchObject({ status: "failed", error: "schema_mismatch" });
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(await send(id, "hi")).toMatchObject({ status: "completed" });
  });

  it("by more work than a check may do is answered, unchecked, and says so", async () => {
    const schema = {
      type: "array",
      items: { allOf: Array.from({ length: 300 }, (_, i) => ({ type: "object", properties: { [`p${i}`]: text } })) },
    };
    const value = Array.from({ length: 3_000 }, (_, i) => ({ i }));
    const { answer, calls } = await ask({ ...schema, contains: { not: {} }, minContains: 0 }, say(value));
    expect(answer).toMatchObject({
      status: "completed",
      response: {
        response: JSON.stringify(value),
        unchecked: [{ path: "#", reason: expect.stringContaining("steps") }],
      },
    });
    expect(answer.response).not.toHaveProperty("structured");
    expect(calls).toHaveLength(1);
  });

  it.each([
    ["a type that there is not", { type: "text" }, /#\/type is none of/],
    ["a reference to nothing", object({ a: { $ref: "#/$defs/none" } }), /#\/properties\/a\/\$ref names nothing/],
    [
      "a reference to itself",
      object({ a: { anyOf: [{ $ref: "#/properties/a" }] } }),
      /#\/properties\/a refers to itself/,
    ],
    [
      "names by look-around",
      { patternProperties: { "(?=a)": text } },
      /#\/patternProperties\/\(\?=a\) can't be checked/,
    ],
    ["too many values", { enum: Array.from({ length: 12_000 }, (_, i) => i) }, /more than 10000 values/],
  ])("is refused at the call for %s, with its place", async (_what, schema, message) => {
    const id = await spawn();
    const answer = await send(id, "Well?", { response_schema: schema });
    expect(answer).toMatchObject({ success: false, error: "invalid_input", message: expect.stringMatching(message) });
    expect(answer.details ?? answer).toMatchObject({ field: "response_schema" });
    expect(await output(id)).toEqual([]);
  });
});

describe("an answer is safe before it is checked", () => {
  it("so that a check that ends the process is neither made again nor paid again", async () => {
    const schema = object({ a: text }, { required: ["a"] });
    const outcomes: unknown[] = [];
    // One commit after another is the last one; the object then dies, and its alarm alone goes on.
    for (let deadly = 1, sprung = true; sprung; deadly++) {
      const name = `dies ${serial++}`;
      scripts.set(name, [say({ a: "x" }), say({ a: "again" })]);
      const id = await spawn({ name });
      const trap = await watchCommits(objectOf(id), deadly);
      void send(id, `Well? <${name}>`, { response_schema: schema, wait_for_response: false }).catch(() => undefined);
      await until(async () => trap.sprung || (await counted(id, "output WHERE type = 'response'")) > 0);
      sprung = trap.sprung;
      const paid = await counted(id, "model_call WHERE outcome = 'completed'");
      const taken = await counted(id, "message");
      await evictDurableObject(objectOf(id));
      if (taken === 0) continue;
      clock.aheadMs += 20_000;
      await until(async () => {
        await runDurableObjectAlarm(objectOf(id)).catch(() => undefined);
        return (await counted(id, "output WHERE type = 'response'")) > 0;
      });
      const { done } = (await tool("wait", { ids: [`${id.replace("inst", "msg")}_1`] })) as unknown as {
        done: { response: Record<string, unknown> }[];
      };
      outcomes.push(done[0]?.response.structured ?? done[0]?.response.unchecked);
      if (paid > 0) expect(await counted(id, "model_call")).toBe(paid);
      expect(await status(id)).toMatchObject({ error_count: 0 });
    }
    expect(outcomes).toContainEqual({ a: "x" });
    expect(outcomes).toContainEqual([{ path: "#", reason: expect.stringContaining("stopped while it was checked") }]);
  });
});

/** Rows of a table; none before the object was used. */
async function counted(id: string, rows: string): Promise<number> {
  return runInDurableObject(objectOf(id), (_object, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master").toArray();
    if (!tables.some(({ name }) => name === rows.split(" ")[0])) return 0;
    return Number(sql.exec(`SELECT COUNT(*) AS n FROM ${rows}`).one().n);
  });
}
