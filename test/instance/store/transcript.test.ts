/**
 * Text cut into parts that a row can hold.
 */
import { describe, expect, it } from "vitest";
import { partsOf } from "../../../src/instance/store/transcript.ts";
import { installModel } from "../../support/model.ts";

installModel();

describe("the cutting of a text into parts", () => {
  /** Mulberry32: the same numbers in every run. */
  const random = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };

  it("cuts any text into parts that fit, are whole characters, and make the text again", () => {
    const next = random(20_261_122);
    for (let round = 0; round < 12; round++) {
      const length = Math.floor(next() * 1_600_000);
      const alphabet = ["a", "é", "漢", "😀", "👩‍💻"];
      const unit = Array.from({ length: 997 }, () => alphabet[Math.floor(next() * alphabet.length)]).join("");
      const text = unit
        .repeat(Math.ceil(length / unit.length) + 1)
        .slice(Math.floor(next() * 7))
        .toWellFormed();
      const parts = partsOf(text);
      expect(parts.join("") === text).toBe(true);
      for (const part of parts) {
        expect(part.isWellFormed()).toBe(true);
        expect(new TextEncoder().encode(part).length).toBeLessThan(2_000_000);
        expect(part.length).toBeGreaterThan(0);
      }
    }
  });

  it.each([499_999, 500_000, 500_001])("holds at the edge: a pair that begins after %i units", (before) => {
    const text = `${"x".repeat(before - 1)}😀${"y".repeat(10)}`;
    const parts = partsOf(text);
    expect(parts.join("") === text).toBe(true);
    expect(parts.every((part) => part.isWellFormed())).toBe(true);
  });

  it("leaves a short text, and an empty one, in one part", () => {
    expect(partsOf("")).toEqual([""]);
    expect(partsOf("😀")).toEqual(["😀"]);
  });
});
