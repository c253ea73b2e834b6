/**
 * Whether a model call may be made, by what each balance above it has left.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  boundOf,
  type CallBound,
  checkReservation,
  FLOOR_TOKENS,
  type SpendingCap,
} from "../../../src/orchestrator/budget/reservation-check.ts";

const capOf = (fields: Partial<SpendingCap>): SpendingCap => ({
  scope: "a",
  what: "cost",
  limit: 1_000_000,
  spent: 0,
  reserved: 0,
  ...fields,
});

const ask = (fields: Partial<CallBound> = {}): CallBound => ({
  promptTokens: 100,
  maxTokens: 500,
  promptRate: 10,
  outputRate: 100,
  ...fields,
});

describe("the verdict on a model call", () => {
  it.each<[string, CallBound, SpendingCap[], string, number?]>([
    ["no cap binds it", ask(), [], "grant", 500],
    ["it fits", ask(), [capOf({})], "grant", 500],
    ["it fits to the last nano-dollar", ask(), [capOf({ limit: 51_000 })], "grant", 500],
    ["one nano-dollar is missing, and it may not shrink", ask(), [capOf({ limit: 50_999 })], "refuse"],
    ["it shrinks to what is left", ask({ maxTokens: 5_000 }), [capOf({ limit: 301_000 })], "grant", 3_000],
    [
      "it shrinks to the floor at most",
      ask({ maxTokens: 5_000 }),
      [capOf({ limit: 1_000 + FLOOR_TOKENS * 100 - 1 })],
      "refuse",
    ],
    ["only calls under way are in its way", ask(), [capOf({ limit: 60_000, reserved: 20_000 })], "wait"],
    ["the tightest cap counts", ask(), [capOf({}), capOf({ what: "tokens", limit: 599 })], "refuse"],
    ["tokens of the prompt count", ask(), [capOf({ what: "tokens", limit: 600 })], "grant", 500],
  ])("%s", (_name, asked, caps, kind, maxTokens) => {
    const verdict = checkReservation(asked, caps);
    expect(verdict.kind).toBe(kind);
    if (verdict.kind === "grant") expect(verdict.maxTokens).toBe(maxTokens);
  });

  it("never grants more than any cap has left, and always grants what fits all of them", () => {
    const amounts = fc.nat(2_000_000);
    const caps = fc.array(
      fc.record({
        scope: fc.constant("x"),
        what: fc.constantFrom("cost", "tokens"),
        limit: amounts,
        spent: amounts,
        reserved: amounts,
      }),
      { maxLength: 5 },
    ) as fc.Arbitrary<SpendingCap[]>;
    const asks = fc.record({
      promptTokens: fc.nat(10_000),
      maxTokens: fc.integer({ min: 1, max: 10_000 }),
      promptRate: fc.nat(50),
      outputRate: fc.integer({ min: 1, max: 500 }),
    });
    fc.assert(
      fc.property(asks, caps, (asked, all) => {
        const verdict = checkReservation(asked, all);
        const fits = all.every(
          (one) => boundOf(asked, one.what, asked.maxTokens) <= one.limit - one.spent - one.reserved,
        );
        if (fits) expect(verdict).toMatchObject({ kind: "grant", maxTokens: asked.maxTokens });
        if (verdict.kind !== "grant") return;
        for (const one of all) {
          const bound = one.what === "cost" ? verdict.costNano : verdict.tokens;
          expect(one.spent + one.reserved + bound).toBeLessThanOrEqual(one.limit);
        }
      }),
      { numRuns: 5_000, seed: 20_261_122 },
    );
  });
});
