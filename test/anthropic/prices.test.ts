import { describe, expect, it } from "vitest";
import { ALIASES, MODELS, RETIRED, resolveModel } from "../../src/anthropic/models.ts";
import { costOf, highestInputPrice, highestPrice, PRICES, priceOf } from "../../src/anthropic/prices.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const none = { input: 0, output: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, webSearches: 0 };

describe("the name of a model", () => {
  it.each([
    ["sonnet", "claude-sonnet-5-5"],
    ["opus", "claude-opus-5-5"],
    ["haiku", "claude-haiku-5-5"],
    ["fable", "claude-fable-5-2"],
    [" Opus ", "claude-opus-5-5"],
    ["claude-opus-4-8", "claude-opus-4-8"],
  ])("%s is %s", (name, id) => {
    const found = resolveModel(name);
    expect(found.ok && found.model.id).toBe(id);
  });

  it.each(RETIRED.map((model) => [model.id, model.replacement]))("%s is retired, use %s", (id, replacement) => {
    const found = resolveModel(id);
    expect(found).toMatchObject({ ok: false, reason: "retired", replacement });
    expect(!found.ok && found.message).toContain(ALIASES[replacement as keyof typeof ALIASES]);
  });

  it.each(["gpt-5", "claude-sonnet", "claude-sonnet-5-5-20260928", "", "constructor"])("%j is unknown", (name) => {
    const found = resolveModel(name);
    expect(found).toMatchObject({ ok: false, reason: "unknown" });
    expect(!found.ok && found.message).toContain("sonnet (claude-sonnet-5-5)");
  });

  it("has each id once, none of them retired, and says when Sonnet 4.5 goes", () => {
    const ids = MODELS.map((model) => model.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => RETIRED.some((retired) => retired.id === id))).toEqual([]);
    expect(MODELS.filter((model) => model.retiresOn !== null).map((model) => [model.id, model.retiresOn])).toEqual([
      ["claude-sonnet-4-5", "2026-11-30"],
      ["claude-sonnet-4-5-20250929", "2026-11-30"],
    ]);
  });
});

describe("the price of a model", () => {
  // USD per million tokens: input, output, 5 m write, 1 h write, cache read.
  it.each([
    ["claude-fable-5-2", 8, 40, 10, 16, 0.2],
    ["claude-fable-5-1", 10, 50, 12.5, 20, 0.25],
    ["claude-mythos-5-1", 10, 50, 12.5, 20, 0.25],
    ["claude-fable-5", 10, 50, 12.5, 20, 1],
    ["claude-mythos-5", 10, 50, 12.5, 20, 1],
    ["claude-opus-5-5", 4, 20, 5, 8, 0.2],
    ["claude-opus-5", 5, 25, 6.25, 10, 0.5],
    ["claude-opus-4-8", 5, 25, 6.25, 10, 0.5],
    ["claude-opus-4-7", 5, 25, 6.25, 10, 0.5],
    ["claude-opus-4-6", 5, 25, 6.25, 10, 0.5],
    ["claude-opus-4-5", 5, 25, 6.25, 10, 0.5],
    ["claude-opus-4-5-20251101", 5, 25, 6.25, 10, 0.5],
    ["claude-sonnet-5-5", 2, 10, 2.5, 4, 0.1],
    ["claude-sonnet-5", 2, 10, 2.5, 4, 0.2],
    ["claude-sonnet-4-6", 3, 15, 3.75, 6, 0.3],
    ["claude-sonnet-4-5", 3, 15, 3.75, 6, 0.3],
    ["claude-sonnet-4-5-20250929", 3, 15, 3.75, 6, 0.3],
    ["claude-haiku-5-5", 0.1, 0.5, 0.125, 0.2, 0.01],
    ["claude-haiku-4-5", 1, 5, 1.25, 2, 0.1],
    ["claude-haiku-4-5-20251001", 1, 5, 1.25, 2, 0.1],
  ])("%s: %d / %d, writes %d / %d, read %d", (id, input, output, cacheWrite5m, cacheWrite1h, cacheRead) => {
    const million = 1_000_000;
    const price = priceOf(id, NOW, 1000);
    if (!price) throw new Error(`${id} has no price`);
    const usd = (usage: Partial<typeof none>) => costOf(price, { ...none, ...usage }) / 1e9;
    expect(usd({ input: million })).toBe(input);
    expect(usd({ output: million })).toBe(output);
    expect(usd({ cacheWrite5m: million })).toBe(cacheWrite5m);
    expect(usd({ cacheWrite1h: million })).toBe(cacheWrite1h);
    expect(usd({ cacheRead: million })).toBe(cacheRead);
    expect(usd({ webSearches: 1 })).toBe(0.01);
  });

  it("are whole nano-USD, each with its source and date, for known models only", () => {
    for (const price of PRICES) {
      for (const rate of [price.input, price.output, price.cacheWrite5m, price.cacheWrite1h, price.cacheRead]) {
        expect(Number.isSafeInteger(rate) && rate > 0).toBe(true);
      }
      // The ratios Anthropic publishes for cache writes.
      expect(price.cacheWrite5m).toBe(price.input * 1.25);
      expect(price.cacheWrite1h).toBe(price.input * 2);
      expect(price.source).toMatch(/https:\/\//);
      expect(price.checkedOn).toMatch(/^\d{4}-\d\d-\d\d$/);
      expect(MODELS.some((model) => model.id === price.model)).toBe(true);
    }
  });

  it("every model has one, except Mythos 5.2 whose price nobody has seen", () => {
    const without = MODELS.filter((model) => priceOf(model.id, NOW, 1) === null).map((model) => model.id);
    expect(without).toEqual(["claude-mythos-5-2"]);
    expect(highestPrice("claude-mythos-5-2", NOW)).toBeNull();
  });

  it.each(["claude-sonnet-5-5-20260928", "claude-sonnet", "claude-sonnet-4-20250514", ""])("%j has none", (id) => {
    expect(priceOf(id, NOW, 1)).toBeNull();
    expect(highestPrice(id, NOW)).toBeNull();
  });

  it("Sonnet 5.5 reads from the cache at half the price since 2026-10-07", () => {
    const change = Date.parse("2026-10-07T00:00:00Z");
    expect(priceOf("claude-sonnet-5-5", change - 1, 1)?.cacheRead).toBe(200);
    expect(priceOf("claude-sonnet-5-5", change, 1)?.cacheRead).toBe(100);
    expect(highestPrice("claude-sonnet-5-5", change)?.cacheRead).toBe(100);
  });

  it("Haiku 5.5 costs five times as much, on every token, above 100,000 prompt tokens", () => {
    const low = priceOf("claude-haiku-5-5", NOW, 100_000);
    const high = priceOf("claude-haiku-5-5", NOW, 100_001);
    expect([low?.input, low?.output, low?.cacheRead]).toEqual([100, 500, 10]);
    expect([high?.input, high?.output, high?.cacheRead]).toEqual([500, 2500, 50]);
    expect(highestPrice("claude-haiku-5-5", NOW)).toMatchObject({ input: 500, output: 2500, cacheWrite1h: 1000 });
  });

  it("the dearest input is the 1 h write", () => {
    const price = highestPrice("claude-opus-5-5", NOW);
    expect(price && highestInputPrice(price)).toBe(8000);
  });

  it.each([Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY])("a count of %d is refused", (input) => {
    const price = priceOf("claude-opus-5-5", NOW, 1);
    expect(() => price && costOf(price, { ...none, input })).toThrow(RangeError);
  });
});
