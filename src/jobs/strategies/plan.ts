/**
 * A coordinator's plan: sub-tasks, who does them, and which results each builds on. Pure.
 */
import * as z from "zod";

/** Upper bound on the sub-tasks of a plan. */
const MAX_TASKS = 256;

/** The schema of the coordinator's answer: only the job's own participants can be named. */
export function planSchema(participantIds: readonly string[]) {
  return z.object({
    tasks: z
      .array(
        z.object({
          id: z.string().describe("A short name of its own, like research"),
          participant: z.enum(participantIds as [string, ...string[]]).describe("Who does it: an instance_id"),
          task: z.string().describe("What to do, complete: the participant does not see the plan"),
          depends_on: z.array(z.string()).describe("ids of the sub-tasks whose results it needs"),
        }),
      )
      .min(1),
  });
}

export type Plan = z.output<ReturnType<typeof planSchema>>;
export type PlannedTask = Plan["tasks"][number];

/** What is wrong with a plan, worded for the coordinator that made it; null for one that can be carried out. */
export function problemOf(plan: Plan): string | null {
  const { tasks } = plan;
  if (tasks.length > MAX_TASKS) return `it has ${tasks.length} sub-tasks, and at most ${MAX_TASKS} are taken`;
  const ids = new Set<string>();
  for (const { id, task } of tasks) {
    if (id.trim() === "") return "a sub-task has an empty id";
    if (ids.has(id)) return `two sub-tasks have the id ${JSON.stringify(id)}`;
    if (task.trim() === "") return `the sub-task ${JSON.stringify(id)} says nothing of what to do`;
    ids.add(id);
  }
  for (const { id, depends_on } of tasks) {
    const unknown = depends_on.find((needed) => !ids.has(needed));
    if (unknown !== undefined)
      return `the sub-task ${JSON.stringify(id)} depends on ${JSON.stringify(unknown)}, which is no sub-task`;
  }
  const cycle = cycleIn(tasks);
  return cycle ? `the sub-tasks depend on each other in a circle: ${cycle.join(" -> ")}` : null;
}

/** The ids along a cycle of dependencies, with the first one repeated at the end; null when there is no cycle. */
function cycleIn(tasks: readonly PlannedTask[]): string[] | null {
  const needs = new Map(tasks.map((task) => [task.id, new Set(task.depends_on)]));
  // Remove what can run, round by round. What remains is on a cycle or depends on one.
  for (let done = [...needs].filter(([, left]) => left.size === 0); done.length > 0; ) {
    for (const [id] of done) needs.delete(id);
    for (const left of needs.values()) for (const [id] of done) left.delete(id);
    done = [...needs].filter(([, left]) => left.size === 0);
  }
  const start = needs.keys().next().value;
  if (start === undefined) return null;
  const path = [start];
  for (;;) {
    const next = needs
      .get(path.at(-1) ?? start)
      ?.values()
      .next().value;
    if (next === undefined) return path;
    const seen = path.indexOf(next);
    if (seen >= 0) return [...path.slice(seen), next];
    path.push(next);
  }
}
