import * as fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import { compileEcma, compileRe2, isEcmaPattern } from "../../../src/platform/regular-expression/expression.ts";
import { programSize } from "../../../src/platform/regular-expression/program-size.ts";

async function expression(pattern: string) {
  const compiled = await compileEcma(pattern);
  if (!compiled.ok) throw new Error(`${pattern}: ${compiled.reason}`);
  return compiled.expression;
}

describe("an expression in ECMAScript's syntax", () => {
  const TEXTS = [
    "",
    "a",
    "b",
    "aab",
    "A",
    "7",
    "-",
    ".",
    " ",
    "a\nb",
    "\n",
    "\r",
    "\t",
    "\u2028",
    "\u00a0",
    "é",
    "😀",
    "[",
    "]",
    "^",
    "\\",
    "/",
    "_",
    "{1}",
    "x{",
    "Ω",
    "2024-05-06",
    "ab@c.de",
  ];
  const PATTERNS = [
    "^a",
    "b$",
    "^$",
    "a.b",
    "^.$",
    "\\s",
    "\\S",
    "^\\S+$",
    "^\\d+$",
    "\\D",
    "^\\w$",
    "\\W",
    "\\ba",
    "\\B",
    "[\\s\\d]",
    "[^\\S]",
    "[a-c]",
    "[^a-c]",
    "[\\]\\[]",
    "[\\^a]",
    "[-a]",
    "[a-]",
    "[\\w\\-.]",
    "[]",
    "[^]",
    "^(?:a|b)+$",
    "(?<name>a)b",
    "a{2}b",
    "^a{1,}",
    "(?:)",
    "\\u00e9",
    "\\u{1F600}",
    "\\uD83D\\uDE00",
    "^[\\u{1F600}]$",
    "\\x41",
    "\\cJ",
    "\\0",
    "\\/",
    "\\.",
    "\\p{L}",
    "\\P{L}",
    "\\p{Lu}",
    "\\p{Uppercase_Letter}",
    "\\p{Script=Greek}",
    "^[\\p{L}\\d]+$",
    "^\\d{4}-\\d{2}-\\d{2}$",
    "[\\b]",
    "a|",
    "[.*+?]",
  ];

  it.each(PATTERNS)("%s matches what the runtime's own engine matches", async (pattern) => {
    const ours = await expression(pattern);
    const own = new RegExp(pattern, "u");
    for (const text of TEXTS) expect([text, ours.test(text)]).toEqual([text, own.test(text)]);
  });

  it.each(["[\\w-.]", "\\_", "x{", "]", "}"])("%s is taken as it is without the flag u", async (pattern) => {
    const ours = await expression(pattern);
    const own = new RegExp(pattern);
    expect(isEcmaPattern(pattern)).toBe(false);
    for (const text of TEXTS.filter((text) => text !== "😀"))
      expect([text, ours.test(text)]).toEqual([text, own.test(text)]);
  });

  it.each([
    ["(?=a)b", /looks around/],
    ["(?!a)b", /looks around/],
    ["(?<=a)b", /looks around/],
    ["(?<!a)b", /looks around/],
    ["(a)\\1", /refers back/],
    ["(?<n>a)\\k<n>", /refers back/],
    ["\\p{Emoji}", /property Emoji/],
    ["a{1,2000}", /too large/],
    ["(a{1,100}){1,100}", /too large/],
    ["a{1000}".repeat(140), /too large/],
    [`[^]${"a{900}".repeat(100)}`, /too large/],
    [`[]${"a{900}".repeat(100)}]`, /too large/],
    [`(${"abc".repeat(300)}){1,900}`, /too large/],
    ["\\p{L}".repeat(21), /Unicode/],
    ["x".repeat(1_001), /longer than 1000/],
  ])("%s is not supported, and the reason is told", async (pattern, reason) => {
    expect(await compileEcma(pattern)).toEqual({
      ok: false,
      kind: "unsupported",
      reason: expect.stringMatching(reason),
    });
  });

  it.each(["(", "[a-", "a**", "a{2,1}"])("%s is none", async (pattern) => {
    expect(await compileEcma(pattern)).toMatchObject({ ok: false, kind: "malformed" });
  });

  it.each(["^(a+)+$", "(x+x+)+y", "(a|a)*$", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|b|ab)*c"])(
    "%s takes linear time, which the runtime's own engine would not",
    async (pattern) => {
      const { test } = await expression(pattern);
      const started = performance.now();
      test(`${"a".repeat(50_000)}!`);
      expect(performance.now() - started).toBeLessThan(5_000);
    },
  );
});

describe("an expression in RE2's syntax", () => {
  it("that is none, or too large, is refused before it is compiled", async () => {
    expect(await compileRe2("(?P<n>a)(?i)B", { ignoreCase: false })).toMatchObject({ ok: true });
    expect(await compileRe2("(a)\\1", { ignoreCase: false })).toMatchObject({ ok: false, kind: "malformed" });
    const started = performance.now();
    expect(await compileRe2("a{1000}".repeat(140), { ignoreCase: false })).toMatchObject({ ok: false });
    expect(performance.now() - started).toBeLessThan(200);
  });

  const large = "a{900}".repeat(100);
  it.each([
    `\\Q[\\E${large}`,
    `\\Q(\\E(${large})`,
    `[]]${large}`,
    `[^]]${large}`,
    `[[:alpha:](]${large}`,
    `([[:alpha:](]${"b".repeat(800)}){1000}`,
    `[A-[:x:](${large})]`,
    `(${"b".repeat(800)})(?i){1000}`,
    `(?:a|${"|".repeat(800)}){1000}`,
    `(?:a*(?i){1000}b){3}`,
  ])("that hides its size is refused for it (%#)", async (pattern) => {
    expect(await compileRe2(pattern, { ignoreCase: false })).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/too large/),
    });
  });
});

/** Expressions of the kind that people write, nested a little. */
const pattern = fc.letrec<{ whole: string; part: string }>((tie) => ({
  whole: fc.array(tie("part"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
  part: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(
      "a",
      "b",
      ".",
      "\\d",
      "\\s",
      "\\W",
      "[ab]",
      "[^a\\s]",
      "[a-c]",
      "\\.",
      "^",
      "$",
      "\\b",
      "\\p{L}",
      "😀",
    ),
    fc.tuple(tie("whole"), tie("whole")).map(([one, other]) => `(?:${one}|${other})`),
    fc
      .tuple(tie("whole"), fc.constantFrom("*", "+", "?", "{2}", "{0,3}", "{1,}", "*?"))
      .map(([inner, how]) => `(${inner})${how}`),
  ),
})).whole;

/** Pieces of RE2's syntax in any order: many are no expression together. */
const soup = fc
  .array(
    fc.oneof(
      fc.constantFrom(..."ab]^-[(){}|*+?.$:,\\0123"),
      fc.constantFrom("(?:", "(?i)", "(?i:", "(?-s)", "(?U)", "(?P<n>", "(?<m>", "(|", "||", "()", "(?:)", "^*"),
      fc.constantFrom(
        "[]",
        "[^]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[A-[:x:]",
        "[[:alpha:]",
        "[^[:^word:]]",
        "[[:",
        "[\\]",
        "]]",
      ),
      fc.constantFrom("\\Q", "\\E", "\\Q[\\E", "\\Q\\E", "\\Q(a{2}", "\\p{L}", "\\PN", "\\p{^Lu}", "[\\p{L}\\d-x]"),
      fc.constantFrom(
        "\\x{41}",
        "\\x41",
        "\\012",
        "\\[",
        "\\]",
        "\\(",
        "\\A",
        "\\z",
        "\\B",
        "\\d",
        "[\\x{5d}-a]",
        "😀",
      ),
      fc.constantFrom("{2}", "{3}", "{0}", "{0,2}", "{2,}", "{01}", "{,2}", "{1,02}", "{0,0}", "{0,1}", "{5}?", "a{3}"),
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(""));

/** Null: it is none. */
function realSize(text: string): number | null {
  try {
    return RE2JS.compile(text).programSize();
  } catch {
    return null;
  }
}

describe("any expression", () => {
  it.each([
    ["of the kind that people write", pattern, 1_000],
    ["of any pieces", soup, 20_000],
    [
      "of any pieces in repeated groups",
      fc.array(soup).map((parts) => parts.map((part) => `(${part}){7}`).join("")),
      5_000,
    ],
  ])("%s is at most as large as was said before it was compiled", (_what, texts, numRuns) => {
    let real = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const size = realSize(text);
        if (size === null) return;
        real += 1;
        expect(size).toBeLessThanOrEqual(programSize(text).instructions);
      }),
      { numRuns },
    );
    expect(real).toBeGreaterThan(numRuns / 20);
  });

  it("matches what the runtime's own engine matches", async () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "1", " ", ".", "\n", "😀"), maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(pattern, text, async (source, subject) => {
        const compiled = await compileEcma(source);
        if (!compiled.ok) return;
        expect(compiled.expression.test(subject)).toBe(new RegExp(source, "u").test(subject));
      }),
      { numRuns: 1_000 },
    );
  });
});
