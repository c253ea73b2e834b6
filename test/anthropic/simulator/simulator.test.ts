import Anthropic, { type APIError } from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { MODELS } from "../../../src/anthropic/models.ts";
import {
  createSimulator,
  type Script,
  type Simulator,
  type SimulatorOptions,
} from "../../../src/anthropic/simulator/simulator.ts";
import { realSleep } from "../../../src/anthropic/simulator/stream.ts";
import { blockTokens, cutToTokens, textTokens, utf8Length } from "../../../src/anthropic/simulator/tokens.ts";

type Message = Anthropic.MessageParam;
type Body = Anthropic.MessageCreateParamsNonStreaming;

const NOW = Date.parse("2026-11-22T12:00:00Z");
const HEADERS = { "x-api-key": "k", "anthropic-version": "2026-10-21", "content-type": "application/json" };
const hello: Body = { model: "claude-sonnet-5-5", max_tokens: 1000, messages: [{ role: "user", content: "Hello" }] };
const tool: Anthropic.Tool = {
  name: "read",
  description: "Reads a file",
  input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
};

function setUp(options: SimulatorOptions = {}) {
  const sim = createSimulator({ clock: () => NOW, journalLimit: 100, ...options });
  return { sim, client: clientOf(sim) };
}

function clientOf(sim: Simulator): Anthropic {
  return new Anthropic({ apiKey: "x", maxRetries: 0, fetch: (url, init) => sim.handle(new Request(url, init)) });
}

function scripted(...scripts: Script[]) {
  return setUp({ script: ({ n }) => scripts[n - 1] });
}

function post(sim: Simulator, body: unknown, headers: Record<string, string> = {}, path = "/v1/messages") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return sim.handle(
    new Request(`https://api.example${path}`, { method: "POST", headers: { ...HEADERS, ...headers }, body: text }),
  );
}

async function caught(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Follows a stream to its bad end. The SDK keeps no snapshot of a stream that ends without `message_stop`. */
async function followed(stream: ReturnType<Anthropic["messages"]["stream"]>) {
  const events: Anthropic.MessageStreamEvent[] = [];
  stream.on("streamEvent", (event: Anthropic.MessageStreamEvent) => events.push(event));
  return { error: await caught(stream.finalMessage()), events };
}

const blocksIn = (message: Message | undefined) => (message?.content ?? []) as Anthropic.ContentBlock[];
const textOf = (message: Anthropic.Message) => message.content.map((b) => (b.type === "text" ? b.text : "")).join("");

describe("what the real API refuses", () => {
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
    ["a numeric bound in the output", schemaOf({ type: "integer", minimum: 1 }), /minimum are not supported/],
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

describe("what the real API accepts", () => {
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

describe("messages through the SDK", () => {
  it("streams the default reply, which says that it is simulated", async () => {
    const { client, sim } = setUp();
    const system = "You are a senior software architect. Be brief.";
    const stream = client.messages.stream({ ...hello, system });
    const message = await stream.finalMessage();
    expect(message.content.map((block) => block.type)).toEqual(["thinking", "text"]);
    expect(textOf(message)).toMatch(
      /simulated reply in the role of senior software architect.*“Hello”.*1 message\b.*trade-offs/,
    );
    expect(message).toMatchObject({ stop_reason: "end_turn", stop_details: null, container: null, diagnostics: null });
    expect(stream.request_id).toBe(sim.journal[0]?.requestId);
    expect(sim.journal).toMatchObject([{ status: 200, outcome: "message_stop", usage: message.usage }]);
    const same = await client.messages.create({ ...hello, system });
    expect(textOf(same)).toBe(textOf(message));
  });

  it("sends every key on the wire, in order", async () => {
    const { sim } = scripted({
      blocks: [
        { type: "text", text: "Hi" },
        { type: "tool_use", name: "read", input: { path: "/" } },
      ],
    });
    const response = await post(sim, { ...hello, tools: [tool], stream: true });
    expect(response.headers.get("anthropic-ratelimit-input-tokens-reset")).toMatch(/^\d{4}-.*Z$/);
    expect(response.headers.get("anthropic-organization-id")).toBeTruthy();
    const events = (await response.text())
      .trim()
      .split("\n\n")
      .map((event) => JSON.parse(event.split("\ndata: ")[1] ?? ""));
    expect(events.map((event) => event.delta?.type ?? event.content_block?.type ?? event.type)).toEqual([
      "message_start",
      "ping",
      "thinking",
      "signature_delta",
      "content_block_stop",
      "text",
      "text_delta",
      "content_block_stop",
      "tool_use",
      "input_json_delta",
      "input_json_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    const usageKeys = [
      "cache_creation",
      "cache_creation_input_tokens",
      "cache_read_input_tokens",
      "inference_geo",
      "input_tokens",
      "output_tokens",
      "output_tokens_details",
      "server_tool_use",
      "service_tier",
      "speed",
    ];
    expect(Object.keys(events[0].message.usage).sort()).toEqual(usageKeys);
    expect(events[0].message).toMatchObject({
      content: [],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
    });
    expect(events[5].content_block).toEqual({ type: "text", text: "", citations: null });
    expect(events[8].content_block).toMatchObject({ input: {}, caller: { type: "direct" } });
    expect(events[12].delta).toEqual({
      stop_reason: "tool_use",
      stop_sequence: null,
      stop_details: null,
      container: null,
    });
    expect(events[12].usage.output_tokens).toBeGreaterThan(0);
  });

  it.each([{ chunkBytes: 1 }, { chunkBytes: 7, crlf: true }, { crlf: true }])(
    "survives the wire cut as %j",
    async (wire) => {
      const text = "Grüße, 世界 😀😀 and more. ".repeat(20);
      const { client } = setUp({ wire, script: () => ({ blocks: [{ type: "text", text }], chunkChars: 3 }) });
      expect(textOf(await client.messages.stream(hello).finalMessage())).toBe(text);
    },
  );

  it("runs a tool, with thinking replayed, to the end", async () => {
    const { client, sim } = setUp({
      script: ({ toolResults, step }) =>
        toolResults.length > 0
          ? { blocks: [{ type: "text", text: `${toolResults[0]?.name} said ${toolResults[0]?.text} at ${step}` }] }
          : { blocks: [{ type: "tool_use", name: "read", input: { path: "/a" } }] },
    });
    for (const { id } of MODELS) {
      const body = { ...hello, model: id, tools: [tool] };
      const first = await client.messages.stream(body).finalMessage();
      expect(first.stop_reason).toBe("tool_use");
      const call = first.content.find((block) => block.type === "tool_use");
      expect(call?.input).toEqual({ path: "/a" });
      const messages: Message[] = [
        ...body.messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "42" }] },
      ];
      const last = await client.messages.stream({ ...body, messages }).finalMessage();
      expect(textOf(last)).toBe("read said 42 at 1");
    }
    expect(sim.journal.every((entry) => entry.outcome === "message_stop")).toBe(true);
  });

  it("honours max_tokens, 0 too, and stop sequences", async () => {
    const { client } = setUp({
      script: () => ({ blocks: [{ type: "text", text: "one two three four five six seven" }] }),
    });
    const cut = await client.messages.create({ ...hello, max_tokens: 4 });
    expect([cut.stop_reason, textOf(cut), cut.usage.output_tokens]).toEqual(["max_tokens", "one two three ", 4]);
    const warm = await client.messages.create({ ...hello, max_tokens: 0 });
    expect([warm.stop_reason, warm.content, warm.usage.output_tokens]).toEqual(["max_tokens", [], 0]);
    const stopped = await client.messages.create({ ...hello, stop_sequences: ["three"] });
    expect([stopped.stop_reason, stopped.stop_sequence, textOf(stopped)]).toEqual([
      "stop_sequence",
      "three",
      "one two ",
    ]);
  });

  it("answers a json_schema with a minimal instance", async () => {
    const schema = {
      type: "object",
      additionalProperties: false,
      required: ["choice", "sure", "why", "votes"],
      properties: {
        choice: { enum: ["Tea, green", "Coffee"] },
        sure: { type: "number" },
        why: { anyOf: [{ $ref: "#/$defs/why" }, { type: "null" }] },
        votes: { type: "array", minItems: 1, items: { type: "boolean" } },
        more: { type: "string" },
      },
      $defs: { why: { type: "string", format: "date" } },
    };
    const { client } = setUp();
    const message = await client.messages.create({
      ...hello,
      output_config: { format: { type: "json_schema", schema } },
    });
    expect(JSON.parse(textOf(message))).toEqual({ choice: "Tea, green", sure: 0, why: "2026-01-01", votes: [false] });
  });

  it("counts tokens and lists models", async () => {
    const { client } = setUp();
    const { input_tokens } = await client.messages.countTokens({ model: hello.model, messages: hello.messages });
    expect(input_tokens).toBe(2);
    const error = await caught(client.messages.countTokens({ ...hello } as never));
    expect((error as Error).message).toMatch(/max_tokens: Extra inputs/);
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(MODELS.map((model) => model.id));
    const model = await client.models.retrieve("claude-sonnet-5-5");
    expect(model).toMatchObject({ line: "sonnet", lifecycle: "active", max_tokens: 128_000 });
    expect(model.capabilities?.thinking.types.disabled.supported).toBe(false);
    expect((await client.models.retrieve("claude-sonnet-4-5")).lifecycle).toBe("deprecated");
  });
});

describe("the prefix check", () => {
  async function conversation(client: Anthropic, model: string) {
    const body = { ...hello, model, system: "You are a tester.", tools: [tool], messages: [...hello.messages] };
    for (const next of ["And then?", "And now?"]) {
      const { content } = await client.messages.stream(body).finalMessage();
      body.messages.push({ role: "assistant", content }, { role: "user", content: next });
    }
    return body;
  }
  const bound = MODELS.filter((model) => model.preservedThinking && model.line !== "mythos").map((model) => model.id);

  it("holds for Fable 5.1 and 5.2 and the 5.5 family", () => {
    expect(bound.sort()).toEqual([
      "claude-fable-5-1",
      "claude-fable-5-2",
      "claude-haiku-5-5",
      "claude-opus-5-5",
      "claude-sonnet-5-5",
    ]);
  });

  type Conversation = Awaited<ReturnType<typeof conversation>>;
  const changes: [name: string, change: (body: Conversation) => Partial<Conversation>, at: RegExp][] = [
    [
      "another system prompt",
      () => ({ system: "You are a tester!" }),
      /^400.*messages\.1\.content\.0: Invalid `signature`.*`system` prompt changed/,
    ],
    [
      "another tool",
      () => ({ tools: [{ ...tool, description: "Reads files" }] }),
      /messages\.1\.content\.0: .*`tools` changed/,
    ],
    [
      "an edited first message",
      ({ messages }) => ({ messages: [{ role: "user", content: "Hello!" }, ...messages.slice(1)] }),
      /messages\.1\.content\.0: .*different conversation/,
    ],
    [
      "an edited later message",
      ({ messages }) => ({ messages: messages.with(2, { role: "user", content: "Then?" }) }),
      /messages\.3\.content\.0: /,
    ],
    ["a dropped turn", ({ messages }) => ({ messages: messages.slice(2) }), /messages\.1\.content\.0: /],
    [
      "a dropped thinking block",
      ({ messages }) => ({
        messages: messages.with(1, {
          role: "assistant",
          content: blocksIn(messages[1]).slice(1),
        }),
      }),
      /messages\.3\.content\.0: /,
    ],
    [
      "an edited thinking block",
      ({ messages }) => ({
        messages: messages.with(1, {
          role: "assistant",
          content: blocksIn(messages[1]).map((b) => (b.type === "thinking" ? { ...b, thinking: "!" } : b)),
        }),
      }),
      /messages\.1\.content\.0: /,
    ],
  ];
  it.each(changes)("refuses %s", async (_, change, at) => {
    const { client } = setUp();
    const body = await conversation(client, "claude-opus-5-5");
    const error = await caught(client.messages.create({ ...body, ...change(body) }));
    expect((error as APIError).status).toBe(400);
    expect((error as Error).message).toMatch(at);
  });

  it.each(bound)("%s accepts the same again, and moved cache markers", async (model) => {
    const { client } = setUp();
    const body = await conversation(client, model);
    const marked = body.messages.with(0, {
      role: "user",
      content: [{ type: "text", text: "Hello", cache_control: { type: "ephemeral" } }],
    });
    await client.messages.create({ ...body, messages: marked, cache_control: { type: "ephemeral" } });
    await caught(client.messages.create({ ...body, system: "x" }));
  });

  it("lets older models, another model's blocks and drop_block pass", async () => {
    const { client, sim } = setUp();
    const body = await conversation(client, "claude-opus-5-5");
    await client.messages.create({ ...body, model: "claude-sonnet-5-5", system: "x" });
    const old = await conversation(client, "claude-opus-5");
    await client.messages.create({ ...old, system: "x" });
    const thinking = { type: "adaptive", block_binding: { prefix_mismatch_behavior: "drop_block" } };
    const dropped = { ...body, system: "x", thinking };
    expect((await post(sim, dropped, { "anthropic-beta": "thinking-binding-controls-2026-08-01" })).status).toBe(200);
    expect((await post(sim, dropped)).status).toBe(400);
  });

  it("stays linear in a long conversation", async () => {
    const { client, sim } = setUp();
    const seed = await client.messages.create(hello);
    const filler = "word ".repeat(100);
    const messages: Message[] = [...hello.messages, { role: "assistant", content: seed.content }];
    for (let i = 0; i < 999; i++)
      messages.push({ role: i % 2 === 0 ? "user" : "assistant", content: `${i} ${filler}` });
    const started = Date.now();
    for (let i = 0; i < 5; i++) expect((await post(sim, { ...hello, messages })).status).toBe(200);
    expect(Date.now() - started).toBeLessThan(2000);
  });
});

describe("the prompt cache", () => {
  const system = "You are a patient archivist. ".repeat(600);

  async function talk(
    turns: number,
    options: { ttl?: "5m" | "1h"; pauseMs?: number; system?: string; model?: string } = {},
  ) {
    let now = NOW;
    const client = clientOf(createSimulator({ clock: () => now }));
    const messages: Message[] = [];
    const usages: Anthropic.Usage[] = [];
    for (let turn = 0; turn < turns; turn++) {
      messages.push({ role: "user", content: `Question ${turn}: what do you hold?` });
      const message = await client.messages
        .stream({
          ...hello,
          model: options.model ?? hello.model,
          system: options.system ?? system,
          messages,
          cache_control: { type: "ephemeral", ttl: options.ttl ?? "5m" },
        })
        .finalMessage();
      messages.push({ role: "assistant", content: message.content });
      usages.push(message.usage);
      now += options.pauseMs ?? 1000;
    }
    return usages.map((usage) => ({
      input: usage.input_tokens,
      read: usage.cache_read_input_tokens ?? 0,
      write: usage.cache_creation_input_tokens ?? 0,
      split: usage.cache_creation,
    }));
  }

  it.each(["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-2"])(
    "%s reads nine tenths or more from the second turn on",
    async (model) => {
      const [first, ...later] = await talk(20, { model });
      expect(first).toMatchObject({ input: 0, read: 0 });
      expect(first?.write).toBeGreaterThan(4096);
      for (const [i, { input, read, write }] of later.entries()) {
        expect(read / (input + read + write)).toBeGreaterThanOrEqual(0.9);
        const before = i === 0 ? first : later[i - 1];
        expect(read).toBe((before?.read ?? 0) + (before?.write ?? 0));
      }
    },
  );

  it("is silently not used below the minimum", async () => {
    for (const usage of await talk(3, { system: "Short." })) expect([usage.read, usage.write]).toEqual([0, 0]);
  });

  it("forgets after five minutes, or an hour when asked", async () => {
    const short = await talk(3, { pauseMs: 301_000 });
    expect(short.map((usage) => usage.read)).toEqual([0, 0, 0]);
    const long = await talk(3, { pauseMs: 301_000, ttl: "1h" });
    expect(long[2]?.read).toBeGreaterThan(4096);
    expect(long[0]?.split).toEqual({ ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: long[0]?.write });
  });

  it("honours block markers, and keeps the parts apart that are cached for different times", async () => {
    const { client } = setUp();
    const block = (text: string, ttl: "5m" | "1h") => ({
      type: "text" as const,
      text,
      cache_control: { type: "ephemeral" as const, ttl },
    });
    const body = {
      ...hello,
      system: [block(system, "1h")],
      messages: [
        { role: "user" as const, content: [block("more ".repeat(2000), "5m"), { type: "text" as const, text: "Go" }] },
      ],
    };
    const first = await client.messages.create(body);
    const split = first.usage.cache_creation;
    expect(split?.ephemeral_1h_input_tokens).toBe(textTokens(system));
    expect(split?.ephemeral_5m_input_tokens).toBe(textTokens("more ".repeat(2000)));
    expect(first.usage.input_tokens).toBe(1);
    const other = await client.messages.create({ ...body, messages: hello.messages });
    expect(other.usage.cache_read_input_tokens).toBe(textTokens(system));
  });

  it("looks back 20 blocks at most", async () => {
    const { client } = setUp();
    const usageOf = async (blocks: number) => {
      const content = Array.from({ length: blocks }, (_, i) => ({ type: "text" as const, text: `Block ${i}` }));
      const { usage } = await client.messages.create({
        ...hello,
        system,
        cache_control: { type: "ephemeral" },
        messages: [{ role: "user", content }],
      });
      return usage.cache_read_input_tokens;
    };
    expect(await usageOf(1)).toBe(0);
    expect(await usageOf(20)).toBeGreaterThan(4000);
    expect(await usageOf(60)).toBe(0);
  });
});

describe("faults", () => {
  const text = "0123456789".repeat(20);
  const say: Script = { blocks: [{ type: "text", text }] };

  it.each([
    [429, "rate_limit_error", "enforced_spend_limit_reached"],
    [529, "overloaded_error", undefined],
    [500, "api_error", undefined],
    [402, "billing_error", undefined],
  ])("status %d %s", async (status, type, errorCode) => {
    const { client } = scripted({
      fault: { kind: "status", status, type, message: "no", errorCode, retryAfterSeconds: 7, shouldRetry: false },
    });
    const error = (await caught(client.messages.create(hello))) as APIError;
    expect([error.status, error.type, error.errorCode ?? undefined]).toEqual([status, type, errorCode]);
    expect([error.headers?.get("retry-after"), error.headers?.get("x-should-retry")]).toEqual(["7", "false"]);
    expect(error.requestID).toMatch(/^req_/);
  });

  it("a proxy's HTML page", async () => {
    const { client } = scripted({
      fault: { kind: "status", status: 502, type: "api_error", message: "Bad Gateway", html: true },
    });
    expect(await caught(client.messages.create(hello))).toMatchObject({ status: 502 });
  });

  it("an error event in the middle", async () => {
    const { client, sim } = scripted({
      ...say,
      fault: { kind: "error_event", type: "overloaded_error", message: "busy", afterChars: 25 },
    });
    const stream = client.messages.stream(hello);
    const error = (await caught(stream.finalMessage())) as APIError;
    expect([error.status, error.type]).toEqual([undefined, "overloaded_error"]);
    expect(stream.currentMessage && textOf(stream.currentMessage)).toBe(text.slice(0, 25));
    expect(sim.journal[0]).toMatchObject({ status: 200, outcome: "error", usage: null });
  });

  it.each([
    [0, ""],
    [60, text.slice(0, 60)],
    [10_000, text],
  ])("the end of the stream after %d characters", async (afterChars, seen) => {
    const { client, sim } = scripted({ ...say, fault: { kind: "eof", afterChars } });
    const { error, events } = await followed(client.messages.stream(hello));
    expect(error).toMatchObject({ message: /without producing a Message/ });
    const sent = events.map((event) =>
      event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : "",
    );
    expect(sent.join("")).toBe(seen);
    expect(sim.journal[0]).toMatchObject({ outcome: "cut", usage: null });
  });

  it("the end of the stream after the first block", async () => {
    const { client } = scripted({ ...say, fault: { kind: "eof", afterBlocks: 1 } });
    const { events } = await followed(client.messages.stream(hello));
    expect(events.at(-1)).toMatchObject({ type: "content_block_stop", index: 0 });
  });

  it("a broken connection", async () => {
    const { client, sim } = scripted({ ...say, fault: { kind: "reset", afterChars: 10 } });
    expect(((await caught(client.messages.stream(hello).finalMessage())) as Error).message).toMatch(/reset/);
    expect(sim.journal[0]?.outcome).toBe("cut");
  });

  it.each([true, false])("a stall (pings: %s), until the caller goes away", async (pings) => {
    let open = 0;
    const { client, sim } = setUp({
      script: () => ({ ...say, fault: { kind: "stall", afterChars: 10, pings, pingMs: 5 } }),
      sleep: (ms, signal) => {
        open += 1;
        return realSleep(ms, signal).finally(() => {
          open -= 1;
        });
      },
    });
    const stream = client.messages.stream(hello);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([open, sim.journal[0]?.outcome]).toEqual([1, "pending"]);
    stream.abort();
    expect(await caught(stream.finalMessage())).toBeInstanceOf(Anthropic.APIUserAbortError);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([open, sim.journal[0]?.outcome]).toEqual([0, "aborted"]);
  });

  it("a reader that cancels is journaled as gone", async () => {
    const { sim } = scripted({ ...say, chunkDelayMs: 60_000 });
    const response = await post(sim, { ...hello, stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(sim.journal[0]).toMatchObject({ outcome: "aborted", usage: null });
  });

  it("a reader that leaves right after message_stop got the whole message", async () => {
    const { sim } = scripted(say);
    const response = await post(sim, { ...hello, stream: true });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!(await reader?.read())?.value?.includes("message_stop"));
    await reader?.cancel();
    expect(sim.journal[0]).toMatchObject({ outcome: "message_stop", usage: { output_tokens: 58 } });
  });

  it("a caller that gives up before the first byte", async () => {
    const { client, sim } = scripted({ delayMs: 60_000 });
    const abort = new AbortController();
    const work = caught(client.messages.create(hello, { signal: abort.signal }));
    setTimeout(() => abort.abort(), 10);
    expect(await work).toBeInstanceOf(Anthropic.APIUserAbortError);
    expect(sim.journal[0]).toMatchObject({ status: 0, outcome: "aborted" });
  });

  it("tool input that is no JSON", async () => {
    const { client } = scripted({
      blocks: [{ type: "tool_use", name: "read", input: { path: "/" } }],
      fault: { kind: "malformed_tool_json" },
    });
    const message = caught(client.messages.stream({ ...hello, tools: [tool] }).finalMessage());
    expect(await message).toBeInstanceOf(Anthropic.AnthropicError);
  });

  it("tool input that was cut off, which the SDK repairs in silence", async () => {
    const input = { path: "/x", content: "hello world, this is long" };
    const { client } = scripted({
      blocks: [{ type: "tool_use", name: "read", input }],
      fault: { kind: "cut_tool_input" },
    });
    const message = await client.messages.stream({ ...hello, tools: [tool] }).finalMessage();
    expect(message.stop_reason).toBe("max_tokens");
    expect(message.content.at(-1)).not.toMatchObject({ input });
  });

  it("tells a script how often this very body came", async () => {
    const { client } = setUp({
      script: ({ attempt, n }) =>
        attempt < 3
          ? { fault: { kind: "status", status: 529, type: "overloaded_error", message: "busy" } }
          : { blocks: [{ type: "text", text: `${attempt} of ${n}` }] },
    });
    await caught(client.messages.create(hello));
    await caught(client.messages.create(hello));
    expect(textOf(await client.messages.create(hello))).toBe("3 of 3");
  });
});

describe("bounds", () => {
  it("keeps no journal unless asked, and then no more than asked", async () => {
    const silent = createSimulator();
    await post(silent, hello);
    expect(silent.journal).toEqual([]);
    const { sim } = setUp({ journalLimit: 3 });
    for (let i = 0; i < 5; i++) await post(sim, { ...hello, system: `${i}` });
    expect(sim.journal.map((entry) => entry.body?.system)).toEqual(["2", "3", "4"]);
  });

  it.each(["", "a", "é", "世", "😀", "😀".repeat(100), "a\ud800b", "plain words and 世界"])(
    "tokens of %j never exceed its bytes",
    (text) => {
      expect(utf8Length(text)).toBe(new TextEncoder().encode(text).byteLength);
      expect(textTokens(text)).toBeLessThanOrEqual(utf8Length(text));
      const use = { type: "tool_use", name: "n", input: { text, list: [1, true, null] } };
      expect(blockTokens(use)).toBeLessThanOrEqual(new TextEncoder().encode(JSON.stringify(use.input)).byteLength + 1);
      for (const limit of [0, 1, 3]) expect(textTokens(cutToTokens(text, limit))).toBeLessThanOrEqual(limit);
    },
  );
});
