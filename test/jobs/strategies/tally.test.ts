/**
 * The count of ballots.
 */
import { describe, expect, it } from "vitest";
import { count, decided } from "../../../src/jobs/strategies/tally.ts";

const CHOICES = ["a", "b", "c"];

describe("the count of ballots", () => {
  it.each<[string, string, Partial<{ participants: number; quorum: number; threshold: number | null }>, object]>([
    ["a majority decides", "aab", {}, { decision: "a", leaders: ["a"], tally: { a: 2, b: 1, c: 0 } }],
    ["more than any other is enough without a threshold", "aabc", { participants: 4 }, { decision: "a" }],
    ["a tie decides nothing", "abab", { participants: 4 }, { decision: null, leaders: ["a", "b"], thresholdMet: true }],
    ["a threshold is met exactly", "aab", { threshold: 2 / 3 }, { decision: "a", thresholdMet: true }],
    ["0.7 of ten is seven", "aaaaaaabbb", { participants: 10, threshold: 0.7 }, { decision: "a" }],
    ["a threshold is missed", "aab", { threshold: 0.7 }, { decision: null, thresholdMet: false, quorumMet: true }],
    ["half of the participants are a quorum", "aa", { participants: 4 }, { decision: "a", quorumMet: true }],
    ["fewer are none", "a", { participants: 4 }, { decision: null, quorumMet: false }],
    ["a quorum can be a number", "aa", { participants: 3, quorum: 3 }, { decision: null, quorumMet: false }],
    ["a quorum of 1 is everybody", "aa", { participants: 3, quorum: 1 }, { decision: null, quorumMet: false }],
    ["what is no choice does not count", "axx", {}, { decision: null, quorumMet: false, tally: { a: 1, b: 0, c: 0 } }],
    ["no ballots at all", "", {}, { decision: null, quorumMet: false, leaders: [] }],
  ])("%s", (_name, ballots, rules, expected) => {
    const votes = [...ballots].map((choice) => ({ choice }));
    const counted = count(votes, CHOICES, { participants: 3, quorum: 0.5, threshold: null, ...rules });
    expect({ ...counted, decision: decided(counted) }).toMatchObject(expected);
  });
});
