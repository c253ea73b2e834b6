/**
 * The next step of a job of each type, from its rows.
 */
import { describe, expect, it } from "vitest";
import type { CoordinationType, JobSpec, StepKind, StepState } from "../../../src/contracts/job.ts";
import { STRATEGIES } from "../../../src/jobs/strategies/index.ts";
import type { Decision, StepView } from "../../../src/jobs/strategies/strategy.ts";

describe("the next step", () => {
  const specOf = (type: CoordinationType, options: Partial<JobSpec["options"]>): JobSpec => ({
    v: 1,
    job_id: "job",
    tenant: "t",
    type,
    task: "Build.",
    coordinator: { instance_id: "cora", name: "Cora", role: "general" },
    participants: ["ada", "ben"].map((id) => ({ instance_id: id, name: id, role: "general" })),
    options: {
      choices: null,
      quorum: 0.5,
      threshold: null,
      rounds: 1,
      split: false,
      step_timeout_seconds: 60,
      ...options,
    },
    created_at: 0,
  });

  /** Steps by key and state: q(ueued), r(unning), c(ompleted), f(ailed), s(kipped); what they answered beside. */
  const rowsOf = (rows: Record<string, string>, structured: Record<string, unknown>) =>
    new Map(
      Object.entries(rows).map(([key, letter]): [string, StepView] => {
        const states: Record<string, StepState> = {
          q: "queued",
          r: "running",
          c: "completed",
          f: "failed",
          s: "skipped",
        };
        const state = states[letter] ?? "failed";
        const error = state === "failed" ? { code: "refused" as const, message: "no" } : null;
        const kind = key.split(":")[0] as StepKind;
        return [key, { key, kind, instance_id: "x", state, structured: structured[key] ?? null, error }];
      }),
    );

  /** A decision in short: the keys that begin (`!` for those that are skipped), "wait", or how it ends. */
  const short = (decision: Decision) => {
    switch (decision.kind) {
      case "start":
        return decision.steps.map((step) => (step.skip ? `!${step.key}` : step.key)).join(" ");
      case "wait":
        return "wait";
      case "end":
        return decision.error ? `end: ${decision.error.code}` : "end";
    }
  };

  const plan = {
    tasks: [
      { id: "a", participant: "ada", task: "A", depends_on: [] },
      { id: "b", participant: "ben", task: "B", depends_on: [] },
      { id: "a2", participant: "ada", task: "A2", depends_on: [] },
      { id: "c", participant: "ben", task: "C", depends_on: ["a", "b"] },
    ],
  };
  const vote = (choice: string) => ({ choice, confidence: 1, reasons: "" });
  const given = { choices: ["x", "y"] };

  it.each<
    [CoordinationType, string, Partial<JobSpec["options"]>, Record<string, string>, Record<string, unknown>, string]
  >([
    ["sequential", "begins with the first", {}, {}, {}, "work:0"],
    ["sequential", "waits for it", {}, { "work:0": "r" }, {}, "wait"],
    ["sequential", "goes on past a failure", {}, { "work:0": "f" }, {}, "work:1"],
    ["sequential", "merges", {}, { "work:0": "f", "work:1": "c" }, {}, "result"],
    ["sequential", "has nothing to merge", {}, { "work:0": "f", "work:1": "f" }, {}, "end: refused"],
    ["sequential", "ends", {}, { "work:0": "c", "work:1": "c", result: "c" }, {}, "end"],
    ["sequential", "ends without a coordinator", {}, { "work:0": "c", "work:1": "c", result: "f" }, {}, "end: refused"],
    ["parallel", "begins with all", {}, {}, {}, "work:0 work:1"],
    ["parallel", "waits for the last", {}, { "work:0": "c", "work:1": "q" }, {}, "wait"],
    ["parallel", "splits first if asked", { split: true }, {}, {}, "split"],
    ["parallel", "then begins with all", { split: true }, { split: "c" }, {}, "work:0 work:1"],
    ["parallel", "can't go on unsplit", { split: true }, { split: "f" }, {}, "end: refused"],
    ["consensus", "begins with proposals", {}, {}, {}, "propose:0 propose:1"],
    ["consensus", "has them clustered", {}, { "propose:0": "c", "propose:1": "f" }, {}, "cluster:1"],
    [
      "consensus",
      "asks those alone who proposed",
      {},
      { "propose:0": "c", "propose:1": "f", "cluster:1": "c" },
      { "cluster:1": { choices: [{ choice: "x", description: "" }] } },
      "vote:1:0",
    ],
    [
      "consensus",
      "has a bad list made again",
      {},
      { "propose:0": "c", "propose:1": "c", "cluster:1": "c" },
      { "cluster:1": { choices: [{ choice: " ", description: "" }] } },
      "cluster:2",
    ],
    ["consensus", "votes at once on given choices", given, {}, {}, "vote:1:0 vote:1:1"],
    [
      "consensus",
      "breaks a tie",
      given,
      { "vote:1:0": "c", "vote:1:1": "c" },
      { "vote:1:0": vote("x"), "vote:1:1": vote("y") },
      "tiebreak",
    ],
    [
      "consensus",
      "votes again before it breaks one, if that was asked for",
      { ...given, rounds: 2 },
      { "vote:1:0": "c", "vote:1:1": "c" },
      { "vote:1:0": vote("x"), "vote:1:1": vote("y") },
      "vote:2:0 vote:2:1",
    ],
    [
      "consensus",
      "does not break a tie below the threshold",
      { ...given, threshold: 0.6 },
      { "vote:1:0": "c", "vote:1:1": "c" },
      { "vote:1:0": vote("x"), "vote:1:1": vote("y") },
      "end",
    ],
    ["consensus", "ends without any ballot", given, { "vote:1:0": "f", "vote:1:1": "f" }, {}, "end: refused"],
    ["delegated", "plans", {}, {}, {}, "plan:1"],
    [
      "delegated",
      "gives each participant one thing at a time",
      {},
      { "plan:1": "c" },
      { "plan:1": plan },
      "task:a task:b",
    ],
    [
      "delegated",
      "begins what is ready while others work",
      {},
      { "plan:1": "c", "task:a": "c", "task:b": "r" },
      { "plan:1": plan },
      "task:a2",
    ],
    [
      "delegated",
      "skips what can't be done any more",
      {},
      { "plan:1": "c", "task:a": "c", "task:b": "f", "task:a2": "r" },
      { "plan:1": plan },
      "!task:c",
    ],
    [
      "delegated",
      "reviews",
      {},
      { "plan:1": "c", "task:a": "c", "task:b": "f", "task:a2": "c", "task:c": "s" },
      { "plan:1": plan },
      "result",
    ],
    ["delegated", "has a bad plan made again", {}, { "plan:1": "c" }, { "plan:1": { tasks: [] } }, "plan:2"],
    [
      "delegated",
      "gives up on a second one",
      {},
      { "plan:1": "c", "plan:2": "c" },
      { "plan:1": { tasks: [] }, "plan:2": { tasks: [] } },
      "end: schema_mismatch",
    ],
  ])("of a %s job: it %s", (type, _name, options, rows, structured, expected) => {
    // The same rows give the same step, however often they are asked.
    for (let i = 0; i < 2; i++) {
      expect(short(STRATEGIES[type].next(specOf(type, options), rowsOf(rows, structured)))).toBe(expected);
    }
  });
});
