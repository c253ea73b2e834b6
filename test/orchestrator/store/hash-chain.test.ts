/**
 * The verifier of the event log's hash chain.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { ChainVerifier, GENESIS, hashOf, lineOf } from "../../../src/orchestrator/store/hash-chain.ts";
import { type Line, problemsOf } from "../../support/log-export.ts";
import { installModel } from "../../support/model.ts";

beforeAll(() => {
  installModel();
});

describe("the verifier of the hash chain", () => {
  const LINES = chain(6);
  const END = { seq: 6, hash: (JSON.parse(LINES[5] ?? "") as Line).hash };
  const swap = (lines: string[], a: number, b: number) =>
    lines.map((line, i) => (i === a ? (lines[b] ?? "") : i === b ? (lines[a] ?? "") : line));

  test("finds nothing in a whole chain, and in the middle of one", () => {
    expect(problemsOf(LINES, END)).toEqual([]);
    expect(problemsOf(LINES.slice(2))).toEqual([]);
  });

  test.each<[what: string, lines: string[], found: RegExp]>([
    ["a changed value", LINES.map((line, i) => (i === 2 ? line.replace('"n":3', '"n":4') : line)), /was changed/],
    ["a changed time", LINES.map((line, i) => (i === 0 ? line.replace("1970", "1971") : line)), /was changed/],
    [
      "a changed hash",
      LINES.map((line, i) => (i === 5 ? line.replace(/.{66}\}$/, `"${"a".repeat(64)}"}`) : line)),
      /was changed/,
    ],
    [
      "one that was replaced, with a hash of its own",
      LINES.map((line, i) => (i === 2 ? (chain(3, "x")[2] ?? "") : line)),
      /does not follow/,
    ],
    ["a removed line", LINES.toSpliced(3, 1), /lines between them were removed/],
    ["lines that were moved", swap(LINES, 1, 4), /moved/],
    ["a repeated line", LINES.toSpliced(3, 0, LINES[3] ?? ""), /repeated/],
    ["an inserted line", LINES.toSpliced(3, 0, '{"seq":4}'), /is no line/],
    ["a cut end, against the head", LINES.slice(0, 4), /lines 5 to 6 are missing/],
    ["nothing at all, against the head", [], /lines 1 to 6 are missing/],
    ["a chain made anew, against the head", chain(6, "x"), /made anew/],
  ])("finds %s", (_what, lines, found) => {
    const problems = problemsOf(lines, END);
    expect(problems[0]).toMatch(found);
  });

  /** Lines of a log of its own. */
  function chain(length: number, mark = "n"): string[] {
    let prev = GENESIS;
    return Array.from({ length }, (_none, i) => {
      const event = { seq: i + 1, at: i, instance_id: "", kind: "test.made", data: JSON.stringify({ [mark]: i + 1 }) };
      const before = prev;
      prev = hashOf(event, before);
      return lineOf(event, before, prev);
    });
  }
});

test("the verifier of the hash chain names one problem for one changed line", () => {
  const verifier = new ChainVerifier();
  const event = (seq: number) => ({ seq, at: seq, instance_id: "", kind: "test.made", data: "{}" });
  const [one, two] = [hashOf(event(1), GENESIS), hashOf(event(2), hashOf(event(1), GENESIS))];
  verifier.add(lineOf(event(1), GENESIS, one).replace("test.made", "test.mad"));
  verifier.add(lineOf(event(2), one, two));
  expect(verifier.problems).toEqual(["the first line was changed: its text does not have its hash"]);
});
