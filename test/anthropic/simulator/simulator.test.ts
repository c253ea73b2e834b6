/**
 * The simulator behind the SDK: streams and whole messages, tools, counting and listing.
 */
import { describe, expect, it } from "vitest";
import { schemaAsText } from "../../../src/anthropic/answer-format/description.ts";
import { MODELS } from "../../../src/anthropic/models.ts";
import { createSimulator } from "../../../src/anthropic/simulator/simulator.ts";
import { blockTokens, cutToTokens, textTokens, utf8Length } from "../../../src/anthropic/simulator/tokens.ts";
import { caught, hello, type Message, post, scripted, setUp, textOf, tool } from "../../support/simulator.ts";

describe("the simulator behind the SDK", () => {
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

  const deep = (levels: number, leaf: unknown): unknown =>
    levels === 0 ? leaf : { type: "array", minItems: 1_000, items: deep(levels - 1, leaf) };
  it.each<[string, object]>([
    ["a hundred million items", { type: "array", minItems: 1e8, items: { type: "null" } }],
    ["a hundred million items of any kind", { type: "array", minItems: 1e8 }],
    ["a hundred million characters", { type: "string", minLength: 1e8 }],
    ["more characters than a text can have", { type: "string", minLength: 1e300 }],
    ["items of items of items", deep(8, { type: "integer" }) as object],
    ["many long texts", { type: "array", minItems: 1e6, items: { type: "string", minLength: 1e6 } }],
    ["many long constants", { type: "array", minItems: 1e6, items: { const: "x".repeat(100_000) } }],
    [
      "properties that each hold the whole",
      {
        type: "object",
        required: Array.from({ length: 100 }, (_, i) => `p${i}`),
        properties: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, { $ref: "#" }])),
      },
    ],
    [
      "many items of many parts",
      {
        type: "array",
        minItems: 1e8,
        items: { allOf: Array.from({ length: 1_000 }, (_, i) => ({ type: "null", properties: { [`p${i}`]: {} } })) },
      },
    ],
    [
      "many items with a long description",
      { type: "array", minItems: 1e8, items: { type: "null", description: "\n\n".repeat(200_000) } },
    ],
    ["a rule in a description", { type: "array", items: { type: "null" }, description: '{"minItems":100000000}' }],
  ])("ends an answer at max_tokens where a schema asks for %s", async (_what, schema) => {
    const content = schemaAsText(schema as Record<string, unknown>);
    for (const max_tokens of [200, 64_000]) {
      const started = performance.now();
      const response = await post(createSimulator(), { ...hello, max_tokens, messages: [{ role: "user", content }] });
      const message = await response.json<Parameters<typeof textOf>[0]>();
      expect(performance.now() - started).toBeLessThan(5_000);
      expect(message.stop_reason).toBe("max_tokens");
      expect(message.usage.output_tokens).toBeLessThanOrEqual(max_tokens);
      expect(() => JSON.parse(textOf(message))).toThrow();
    }
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

describe("the simulator's bounds", () => {
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
