/**
 * Which steps a step builds on.
 */
import { describe, expect, it } from "vitest";
import type { CoordinationType, JobSpec, StepKind } from "../../../src/contracts/job.ts";
import { dependenciesOf } from "../../../src/jobs/strategies/dependencies.ts";
import type { StepView } from "../../../src/jobs/strategies/strategy.ts";

describe("what a step builds on", () => {
  const plan = (...tasks: [id: string, ...needs: string[]][]) => ({
    tasks: tasks.map(([id, ...depends_on]) => ({ id, participant: "p1", task: "t", depends_on })),
  });
  it.each<[string, CoordinationType, [key: string, kind: StepKind, structured?: unknown][], Record<string, string[]>]>([
    [
      "one after another",
      "sequential",
      [
        ["work:0", "work"],
        ["work:1", "work"],
        ["result", "result"],
      ],
      {
        "work:0": [],
        "work:1": ["work:0"],
        result: ["work:1"],
      },
    ],
    [
      "all at once, then merged",
      "parallel",
      [
        ["split:1", "split"],
        ["work:0", "work"],
        ["work:1", "work"],
        ["result", "result"],
      ],
      {
        "split:1": [],
        "work:0": ["split:1"],
        "work:1": ["split:1"],
        result: ["work:0", "work:1"],
      },
    ],
    [
      "votes in rounds, after a list that was repaired",
      "consensus",
      [
        ["propose:0", "propose"],
        ["cluster:1", "cluster"],
        ["cluster:2", "cluster"],
        ["vote:1:0", "vote"],
        ["vote:2:0", "vote"],
        ["tiebreak", "tiebreak"],
      ],
      {
        "propose:0": [],
        "cluster:1": ["propose:0"],
        "cluster:2": ["cluster:1"],
        "vote:1:0": ["cluster:2"],
        "vote:2:0": ["vote:1:0"],
        tiebreak: ["vote:2:0"],
      },
    ],
    [
      "as it was planned",
      "delegated",
      [
        ["plan:1", "plan", plan(["a"], ["b", "a"], ["c"])],
        ["task:a", "task"],
        ["task:c", "task"],
        ["task:b", "task"],
        ["result", "result"],
      ],
      {
        "plan:1": [],
        "task:a": ["plan:1"],
        "task:c": ["plan:1"],
        "task:b": ["task:a"],
        result: ["task:a", "task:c", "task:b"],
      },
    ],
    [
      "by the second plan, when the first was none",
      "delegated",
      [
        ["plan:1", "plan", plan(["a", "x"])],
        ["plan:2", "plan", plan(["a"])],
        ["task:a", "task"],
      ],
      {
        "plan:1": [],
        "plan:2": ["plan:1"],
        "task:a": ["plan:2"],
      },
    ],
  ])("is what the result of its kind of job needs: %s", (_name, type, begun, expected) => {
    const steps = begun.map(([key, kind, structured = null]): [string, StepView] => [
      key,
      { key, kind, instance_id: "p1", state: "completed", structured, error: null },
    ]);
    const members = ["lead", "p1"].map((instance_id) => ({ instance_id, name: instance_id, role: "general" }));
    const spec = { type, coordinator: members[0], participants: members.slice(1) } as JobSpec;
    expect(Object.fromEntries(dependenciesOf(spec, new Map(steps)))).toEqual(expected);
  });
});
