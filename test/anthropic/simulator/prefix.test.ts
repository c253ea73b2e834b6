/**
 * A replayed prefix has to be unchanged, as today's models demand.
 */
import type Anthropic from "@anthropic-ai/sdk";
import type { APIError } from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { MODELS } from "../../../src/anthropic/models.ts";
import { blocksIn, caught, hello, type Message, post, setUp, tool } from "../../support/simulator.ts";

describe("the check of a replayed prefix", () => {
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
