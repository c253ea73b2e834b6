/**
 * The prompt cache: what is read from it, written to it, and forgotten.
 */
import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { createSimulator } from "../../../src/anthropic/simulator/simulator.ts";
import { textTokens } from "../../../src/anthropic/simulator/tokens.ts";
import { clientOf, hello, type Message, NOW, setUp } from "../../support/simulator.ts";

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
