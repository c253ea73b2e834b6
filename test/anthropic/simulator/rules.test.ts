/**
 * The simulator is as strict as the real API: what it refuses and what it accepts.
 */
import { describe, expect, it } from "vitest";
import { HEADERS, hello, post, setUp, tool } from "../../support/simulator.ts";

const objectOf = (size: number, part: unknown) => ({
  type: "object",
  properties: Object.fromEntries(Array.from({ length: size }, (_, i) => [`p${i}`, part])),
  additionalProperties: false,
});

describe("the simulator refuses what the real API refuses", () => {
  const call = { type: "tool_use", id: "toolu_1", name: "read", input: {} };
  const second = { ...call, id: "toolu_2" };
  const result = { type: "tool_result", tool_use_id: "toolu_1", content: "ok" };
  const talk = (...messages: unknown[]) => ({ messages: [{ role: "user", content: "Hello" }, ...messages] });
  const assistant = (...content: unknown[]) => ({ role: "assistant", content });
  const user = (...content: unknown[]) => ({ role: "user", content });
  const control = { cache_control: { type: "ephemeral" } };
  const schemaOf = (schema: unknown) => ({ output_config: { format: { type: "json_schema", schema } } });

  const cases: [name: string, change: Record<string, unknown>, message: RegExp, status?: number, type?: string][] = [
    ["temperature", { temperature: 1 }, /temperature: Extra inputs/],
    ["top_p", { top_p: 1 }, /top_p: Extra inputs/],
    ["top_k", { top_k: 1 }, /top_k: Extra inputs/],
    ["an unknown key", { foo: 1 }, /foo: Extra inputs/],
    ["a key that objects inherit", { constructor: 1 }, /constructor: Extra inputs/],
    ["a block of a type that objects inherit", talk(assistant({ type: "constructor" })), /constructor/],
    ["a schema of a type that objects inherit", schemaOf({ type: "constructor", minLength: 1 }), /constructor/],
    ["a beta key without its header", { context_management: {} }, /context_management: Extra inputs/],
    ["no model", { model: undefined }, /model: Field required/],
    ["an unknown model", { model: "claude-x" }, /model: claude-x/, 404, "not_found_error"],
    ["a retired model", { model: "claude-sonnet-4-20250514" }, /claude-sonnet-4-2025/, 404, "not_found_error"],
    ["no max_tokens", { max_tokens: undefined }, /max_tokens: Field required/],
    ["max_tokens below 0", { max_tokens: -1 }, /max_tokens/],
    ["max_tokens 1.5", { max_tokens: 1.5 }, /max_tokens/],
    ["max_tokens above the model's", { max_tokens: 128_001 }, /128001 > 128000/],
    ["pre-warming with a stream", { max_tokens: 0, stream: true }, /max_tokens: 0/],
    ["no messages", { messages: undefined }, /messages: Field required/],
    ["empty messages", { messages: [] }, /at least one message/],
    ["an unknown role", { messages: [{ role: "tool", content: "x" }] }, /role/],
    ["an extra key in a message", { messages: [{ role: "user", content: "x", id: 1 }] }, /id: Extra inputs/],
    ["a prefill", talk({ role: "assistant", content: "Once" }), /prefill/],
    ["empty content", { messages: [{ role: "user", content: "" }] }, /non-empty content/],
    ["no blocks", { messages: [user()] }, /non-empty content/],
    ["an empty text block", { messages: [user({ type: "text", text: "" })] }, /must be non-empty/],
    ["a blank text block", { messages: [user({ type: "text", text: " \n" })] }, /non-whitespace/],
    ["an extra key in a block", { messages: [user({ type: "text", text: "x", foo: 1 })] }, /foo: Extra inputs/],
    ["an unknown block", { messages: [user({ type: "video" })] }, /video/],
    [
      "an image in a system message",
      talk({ role: "system", content: [{ type: "image", source: {} }] }),
      /text blocks only/,
    ],
    ["citations in a user text", { messages: [user({ type: "text", text: "x", citations: [] })] }, /citations/],
    [
      "a document from the assistant",
      talk(assistant({ type: "document", source: {} }), user({ type: "text", text: "x" })),
      /document/,
    ],
    ["an unanswered tool call", talk(assistant(call), user({ type: "text", text: "x" })), /without `tool_result`/],
    ["an unanswered tool call at the end", talk(assistant(call)), /without `tool_result`/],
    ["a half-answered turn", talk(assistant(call, second), user(result)), /toolu_2/],
    ["a result after text", talk(assistant(call), user({ type: "text", text: "x" }, result)), /without `tool_result`/],
    [
      "a result one turn late",
      talk(assistant(call), user({ type: "text", text: "x" }), assistant({ type: "text", text: "y" }), user(result)),
      /without `tool_result`/,
    ],
    ["a result for no call", { messages: [user(result)] }, /unexpected `tool_use_id`/],
    [
      "a result for another call",
      talk(assistant(call), user(result, { ...result, tool_use_id: "toolu_9" })),
      /toolu_9/,
    ],
    ["a result twice", talk(assistant(call), user(result, result)), /single result/],
    ["a tool call id twice", talk(assistant(call, call), user(result)), /unique/],
    ["a tool input that is a string", talk(assistant({ ...call, input: "{}" }), user(result)), /dictionary/],
    ["a tool name with a space", { tools: [{ ...tool, name: "a b" }] }, /pattern/],
    ["a tool name of 129 characters", { tools: [{ ...tool, name: "a".repeat(129) }] }, /pattern/],
    ["a tool twice", { tools: [tool, tool] }, /unique/],
    ["a tool without a schema", { tools: [{ name: "a" }] }, /input_schema: Field required/],
    ["a tool schema that is no object", { tools: [{ ...tool, input_schema: { type: "string" } }] }, /'object'/],
    ["an extra key in a tool", { tools: [{ ...tool, run: 1 }] }, /run: Extra inputs/],
    ["an unknown typed tool", { tools: [{ type: "toaster_20260101", name: "t" }] }, /toaster/],
    ["a forced tool on Sonnet 5.5", { tools: [tool], tool_choice: { type: "any" } }, /forced tool use/],
    [
      "a forced tool on Opus 5.5",
      { model: "claude-opus-5-5", tools: [tool], tool_choice: { type: "tool", name: "read" } },
      /forced/,
    ],
    [
      "a forced tool on Fable 5.2",
      { model: "claude-fable-5-2", tools: [tool], tool_choice: { type: "any" } },
      /forced/,
    ],
    [
      "a forced tool while thinking",
      { model: "claude-haiku-5-5", thinking: { type: "adaptive" }, tools: [tool], tool_choice: { type: "any" } },
      /Thinking may not/,
    ],
    ["a tool choice without tools", { tool_choice: { type: "auto" } }, /providing tools/],
    ["thinking disabled on Opus 5.5", { model: "claude-opus-5-5", thinking: { type: "disabled" } }, /thinking.type/],
    ["thinking disabled on Sonnet 5.5", { thinking: { type: "disabled" } }, /thinking.type/],
    ["a thinking budget", { thinking: { type: "enabled", budget_tokens: 2000 } }, /thinking.type/],
    ["an unknown effort", { output_config: { effort: "huge" } }, /effort/],
    ["effort on Haiku 4.5", { model: "claude-haiku-4-5", output_config: { effort: "low" } }, /not supported/],
    ["xhigh on Opus 4.6", { model: "claude-opus-4-6", output_config: { effort: "xhigh" } }, /not supported/],
    [
      "max effort with thinking off",
      { thinking: { type: "between_tools" }, output_config: { effort: "max" } },
      /thinking turned off/,
    ],
    ["an output format of another type", { output_config: { format: { type: "json" } } }, /json_schema/],
    ["an open object in the output", schemaOf({ type: "object", properties: {} }), /additionalProperties/],
    [
      "an open object deep in the output",
      schemaOf({ type: "array", items: { type: "object" } }),
      /items.*additionalProperties/,
    ],
    ["a numeric bound in the output", schemaOf({ type: "integer", minimum: 1 }), /property 'minimum' is not supported/],
    [
      "two bounds in the output",
      schemaOf({ type: "integer", minimum: 1, maximum: 2 }),
      /properties maximum, minimum are/,
    ],
    [
      "a map in the output",
      schemaOf({ type: "object", additionalProperties: { type: "string" } }),
      /additionalProperties/,
    ],
    ["oneOf in the output", schemaOf({ oneOf: [{ type: "null" }] }), /'oneOf' is not supported/],
    ["anything in the output", schemaOf({ type: "array", items: {} }), /items: Schema must have a 'type'/],
    ["objects in an enum", schemaOf({ enum: [{ a: 1 }] }), /strings, numbers, booleans and null/],
    ["an unknown format", schemaOf({ type: "string", format: "regex" }), /format 'regex'/],
    ["a pattern that looks ahead", schemaOf({ type: "string", pattern: "^(?!a)" }), /pattern/],
    ["two items at least", schemaOf({ type: "array", items: { type: "null" }, minItems: 2 }), /'minItems'/],
    ["a reference to nothing", schemaOf({ $ref: "#/$defs/a" }), /can't be resolved/],
    [
      "a reference in allOf",
      schemaOf({ allOf: [{ $ref: "#/$defs/a" }], $defs: { a: { type: "null" } } }),
      /'allOf' is not supported/,
    ],
    [
      "recursion in the output",
      schemaOf({ $ref: "#/$defs/a", $defs: { a: { type: "array", items: { $ref: "#/$defs/a" } } } }),
      /Circular reference detected in schema definitions: a -> a/,
    ],
    [
      "25 optional properties in a tool and the output",
      {
        ...schemaOf(objectOf(12, { type: "null" })),
        tools: [{ ...tool, strict: true, input_schema: objectOf(13, { type: "null" }) }],
      },
      /too many optional parameters \(25\)/,
    ],
    [
      "17 values with alternatives",
      schemaOf({ ...objectOf(17, { type: ["string", "null"] }), required: Object.keys(objectOf(17, {}).properties) }),
      /too many parameters with union types \(17/,
    ],
    [
      "21 strict tools",
      {
        tools: Array.from({ length: 21 }, (_, i) => ({
          ...tool,
          name: `t${i}`,
          strict: true,
          input_schema: objectOf(0, {}),
        })),
      },
      /at most 20 tools/,
    ],
    ["an empty stop sequence", { stop_sequences: [" "] }, /non-whitespace/],
    [
      "five cache breakpoints",
      { ...control, system: [1, 2, 3, 4].map((n) => ({ type: "text", text: `${n}`, ...control })) },
      /maximum of 4/,
    ],
    [
      "a 1 h breakpoint after a 5 m one",
      { cache_control: { type: "ephemeral", ttl: "1h" }, system: [{ type: "text", text: "x", ...control }] },
      /must not come after/,
    ],
    [
      "a made-up signature",
      talk(
        assistant({ type: "thinking", thinking: "", signature: "abc" }, { type: "text", text: "y" }),
        user({ type: "text", text: "x" }),
      ),
      /messages.1.content.0: Invalid `signature`/,
    ],
  ];
  it.each(cases)("%s", async (_, change, message, status = 400, type = "invalid_request_error") => {
    const { sim } = setUp();
    const response = await post(sim, { ...hello, ...change });
    const body = (await response.json()) as {
      type: string;
      error: { type: string; message: string };
      request_id: string;
    };
    expect([response.status, body.type, body.error.type]).toEqual([status, "error", type]);
    expect(body.error.message).toMatch(message);
    expect(body.request_id).toBe(response.headers.get("request-id"));
    expect(sim.journal.at(-1)).toMatchObject({ status, outcome: "error", usage: null });
  });

  it.each([
    ["no version", { "anthropic-version": "" }, 400, "invalid_request_error"],
    ["an older version", { "anthropic-version": "2023-06-01" }, 400, "invalid_request_error"],
    ["no key", { "x-api-key": "" }, 401, "authentication_error"],
  ])("%s in the headers", async (_, headers, status, type) => {
    const response = await post(setUp().sim, hello, headers as Record<string, string>);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { type } });
  });

  it.each([
    ["not JSON", "{", 400],
    ["no object", "[]", 400],
    ["a lone surrogate", JSON.stringify({ ...hello, system: "a\ud800b" }), 400],
    ["more than 32 MB", JSON.stringify({ ...hello, system: "x".repeat(32 * 1024 * 1024) }), 413],
  ])("a body that is %s", async (_, text, status) => {
    const response = await post(setUp().sim, text);
    expect(response.status).toBe(status);
  });

  it("a prompt longer than the window", async () => {
    const system = "x".repeat(800_000);
    const response = await post(setUp().sim, { ...hello, model: "claude-haiku-4-5", system });
    expect(await response.json()).toMatchObject({
      error: { message: /prompt is too long: \d+ tokens > 200000 maximum/ },
    });
  });

  it("a model on the day it retires", async () => {
    const body = { ...hello, model: "claude-sonnet-4-5" };
    expect((await post(setUp().sim, body)).status).toBe(200);
    expect((await post(setUp({ clock: () => Date.parse("2026-11-30") }).sim, body)).status).toBe(404);
  });

  it.each([
    ["GET", "/v1/messages", 405],
    ["POST", "/v1/complete", 404],
    ["GET", "/", 404],
    ["GET", "/v1/models/claude-x", 404],
  ])("%s %s", async (method, path, status) => {
    const response = await setUp().sim.handle(new Request(`https://api.example${path}`, { method, headers: HEADERS }));
    expect(response.status).toBe(status);
  });
});

describe("the simulator accepts what the real API accepts", () => {
  const search = { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "x" } };
  it.each<[string, Record<string, unknown>]>([
    [
      "null citations and a caller, as they were answered",
      {
        messages: [
          { role: "user", content: "Hi" },
          {
            role: "assistant",
            content: [
              { type: "text", text: "a", citations: null },
              { type: "tool_use", id: "t1", name: "read", input: {}, caller: { type: "direct" } },
            ],
          },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: "t1" },
              { type: "text", text: "and?" },
            ],
          },
        ],
      },
    ],
    [
      "a paused turn sent back",
      {
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: [search] },
        ],
      },
    ],
    [
      "a system message in the middle",
      {
        messages: [
          { role: "user", content: "Hi" },
          { role: "system", content: "The date is set." },
        ],
      },
    ],
    ["emoji", { messages: [{ role: "user", content: "😀 \u00e9" }] }],
    ["typed tools", { tools: [{ type: "web_search_20260318", name: "web_search" }] }],
    ["all efforts", { output_config: { effort: "max" } }],
    [
      "a mixed cache",
      {
        cache_control: { type: "ephemeral" },
        system: [{ type: "text", text: "x", cache_control: { type: "ephemeral", ttl: "1h" } }],
      },
    ],
  ])("%s", async (_, change) => {
    const response = await post(setUp().sim, { ...hello, ...change });
    expect([response.status, response.status === 200 ? "" : await response.text()]).toEqual([200, ""]);
  });

  it("a beta key with its header, also under ?beta=true and a path prefix", async () => {
    const headers = { "anthropic-beta": "context-management-2025-06-27" };
    const response = await post(
      setUp().sim,
      { ...hello, context_management: {} },
      headers,
      "/gw/anthropic/v1/messages?beta=true",
    );
    expect(response.status).toBe(200);
  });
});
