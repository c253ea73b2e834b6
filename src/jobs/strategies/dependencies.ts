/**
 * Which earlier steps each step builds on. Pure.
 */
import type { JobSpec, StepKind } from "../../contracts/job.ts";
import { keyOf, plannedTasks } from "./delegated.ts";
import type { Steps, StepView } from "./strategy.ts";

/** The order of the kinds. Each may have several rounds, named in the steps' keys: `vote:2:0`, `plan:2`. */
const ORDER: Record<StepKind, number> = {
  split: 0,
  plan: 0,
  propose: 0,
  cluster: 1,
  work: 1,
  task: 1,
  vote: 2,
  tiebreak: 3,
  result: 4,
};
const IN_ROUNDS: ReadonlySet<StepKind> = new Set(["split", "plan", "cluster", "vote"]);

/** For each step that has begun, by its key, the keys of those that it builds on. */
export function dependenciesOf(spec: JobSpec, steps: Steps): ReadonlyMap<string, readonly string[]> {
  const all = [...steps.values()];
  const tasks = spec.type === "delegated" ? plannedTasks(spec, steps) : [];
  const planned = new Map(tasks.map((task) => [keyOf(task), task.depends_on.map((id) => keyOf({ id }))]));
  return new Map(
    all.map((step, i) => {
      const inputs = planned.get(step.key) ?? [];
      if (inputs.length > 0) return [step.key, inputs];
      return [
        step.key,
        spec.type === "sequential" ? all.slice(i - 1, i).map(({ key }) => key) : roundBefore(all, step),
      ];
    }),
  );
}

function roundBefore(all: readonly StepView[], step: StepView): string[] {
  const earlier = all.filter((one) => placeOf(one) < placeOf(step));
  const newest = Math.max(...earlier.map(placeOf));
  return earlier.filter((one) => placeOf(one) === newest).map(({ key }) => key);
}

function placeOf({ kind, key }: StepView): number {
  return ORDER[kind] + (IN_ROUNDS.has(kind) ? Number(key.split(":")[1]) / 1_000 : 0);
}
