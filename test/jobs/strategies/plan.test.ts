/**
 * What makes a plan one that can be carried out.
 */
import { describe, expect, it } from "vitest";
import { type PlannedTask, problemOf } from "../../../src/jobs/strategies/plan.ts";

describe("the check of a plan", () => {
  const task = (id: string, ...depends_on: string[]): PlannedTask => ({ id, participant: "p", task: "t", depends_on });
  it.each<[string, PlannedTask[], string | null]>([
    ["of one sub-task", [task("a")], null],
    ["with a diamond", [task("d", "b", "c"), task("b", "a"), task("c", "a"), task("a")], null],
    ["that names a dependency twice", [task("a"), task("b", "a", "a")], null],
    ["that depends on itself", [task("a", "a")], "a -> a"],
    ["in a circle", [task("a", "c"), task("b", "a"), task("c", "b")], "a -> c -> b -> a"],
    ["with a circle behind it", [task("z", "a"), task("a", "b"), task("b", "a")], "a -> b -> a"],
    ["with an unknown dependency", [task("a", "x")], '"x", which is no sub-task'],
    ["with an id twice", [task("a"), task("a")], 'two sub-tasks have the id "a"'],
    ["with an empty id", [task(" ")], "empty id"],
    ["with a sub-task that says nothing", [{ ...task("a"), task: " " }], "nothing of what to do"],
    ["that is too large", Array.from({ length: 257 }, (_, i) => task(`t${i}`)), "257 sub-tasks"],
  ])("takes it or says what is wrong with it: a plan %s", (_name, tasks, problem) => {
    const found = problemOf({ tasks });
    if (problem === null) expect(found).toBeNull();
    else expect(found).toContain(problem);
  });
});
