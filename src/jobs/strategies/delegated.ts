/**
 * `delegated`: the coordinator plans sub-tasks with dependencies; whatever is ready runs, each participant one thing at a time;
 * results flow along the dependencies; the coordinator reviews them and writes the result.
 */
import * as z from "zod";
import type { JobSpec } from "../../contracts/job.ts";
import type { Failure } from "../../platform/errors.ts";
import { merged, mergeQuestion } from "./merge.ts";
import { type Plan, type PlannedTask, planSchema, problemOf } from "./plan.ts";
import { type Contribution, DATA_NOTE, fenced, plain, rosterOf, taskOf } from "./prompts.ts";
import {
  finalStep,
  isOpen,
  type NewStep,
  type Parsed,
  parsed,
  parseOrRetry,
  type Steps,
  type StepView,
  type Strategy,
} from "./strategy.ts";

const PLAN = "plan";

/** The key of a sub-task's step. */
export const keyOf = ({ id }: Pick<PlannedTask, "id">) => `task:${id}`;

/** The sub-tasks of the plan that is carried out; none before there is one. */
export function plannedTasks(spec: JobSpec, steps: Steps): readonly PlannedTask[] {
  return parsed(steps, PLAN, (structured) => readPlan(spec, structured))?.tasks ?? [];
}

export const delegated: Strategy = {
  next(spec, steps) {
    const wanted = { key: PLAN, kind: "plan" as const, instance_id: spec.coordinator.instance_id, what: "plan" };
    const plan = parseOrRetry(steps, wanted, (structured) => readPlan(spec, structured));
    if ("decision" in plan) return plan.decision;
    const { tasks } = plan.value;
    const begun = tasks.flatMap((task) => steps.get(keyOf(task)) ?? []);
    const starting = ready(tasks, steps, begun);
    if (starting.length > 0) return { kind: "start", steps: starting };
    return begun.some(isOpen) ? { kind: "wait" } : finalStep(spec, steps, begun);
  },

  ask(spec, steps, step, textOf) {
    if (step.kind === "plan") return planQuestion(spec, steps, step.key);
    const tasks = plannedTasks(spec, steps);
    const taskFor = (key: string) => tasks.find((task) => keyOf(task) === key);
    if (step.kind === "result") {
      return mergeQuestion(spec, steps, textOf, "by your plan", (key) => taskFor(key)?.task);
    }
    const task = taskFor(step.key);
    if (!task) throw new Error(`The plan has no sub-task for ${step.key}.`);
    const members = new Map(spec.participants.map((member) => [member.instance_id, member]));
    const inputs = tasks
      .filter((other) => task.depends_on.includes(other.id))
      .map(
        (other): Contribution => ({
          from: members.get(other.participant) ?? null,
          text: textOf(keyOf(other)),
          about: other.task,
        }),
      );
    const parts = [
      `You do one part of a larger task. In the end ${plain(spec.coordinator.name)} puts the result together.`,
      taskOf(spec),
      `Your part, as the coordinator has planned it:\n<part>\n${task.task}\n</part>`,
      ...(inputs.length === 0 ? [] : [`The results that your part builds on. ${DATA_NOTE}\n\n${fenced(inputs)}`]),
      "Answer with the result of your part alone, complete in itself.",
    ];
    return { message: parts.join("\n\n"), schema: null };
  },

  result: merged,
};

/** The sub-tasks that can begin now, and those that never can because what they build on failed. */
function ready(tasks: readonly PlannedTask[], steps: Steps, begun: readonly StepView[]): NewStep[] {
  const byId = new Map(tasks.map((task) => [task.id, steps.get(keyOf(task))]));
  const busy = new Set(begun.filter(isOpen).map((step) => step.instance_id));
  const starting: NewStep[] = [];
  for (const task of tasks) {
    if (byId.get(task.id)) continue;
    const step = { key: keyOf(task), kind: "task" as const, instance_id: task.participant };
    const states = task.depends_on.map((id) => byId.get(id)?.state);
    const lost = task.depends_on.find((_id, i) => states[i] === "failed" || states[i] === "skipped");
    if (lost !== undefined) starting.push({ ...step, skip: lacking(lost) });
    else if (states.every((state) => state === "completed") && !busy.has(task.participant)) {
      busy.add(task.participant);
      starting.push(step);
    }
  }
  return starting;
}

function lacking(id: string): Failure {
  return {
    code: "cancelled",
    message: `It was not begun: the sub-task ${JSON.stringify(id)}, which it builds on, failed.`,
  };
}

function readPlan(spec: JobSpec, structured: unknown): Parsed<Plan> {
  const plan = planSchema(spec.participants.map((member) => member.instance_id)).safeParse(structured);
  if (!plan.success) return { ok: false, problem: z.prettifyError(plan.error) };
  const problem = problemOf(plan.data);
  return problem === null ? { ok: true, value: plan.data } : { ok: false, problem };
}

function planQuestion(spec: JobSpec, steps: Steps, key: string) {
  const schema = z.toJSONSchema(planSchema(spec.participants.map((member) => member.instance_id)));
  const rejected = key === `${PLAN}:1` ? undefined : steps.get(`${PLAN}:1`);
  if (rejected) {
    const reading = readPlan(spec, rejected.structured);
    const problem = reading.ok ? "it can't be used" : reading.problem;
    const message = `Your plan can't be carried out: ${problem}. Make the plan again, whole and corrected.`;
    return { message, schema: schema as Record<string, unknown> };
  }
  const message = [
    "You coordinate a task. Plan it: break it into sub-tasks, give each to the participant whose role fits best, and name for each the sub-tasks whose results it needs. What depends on nothing runs at the same time; results are handed on along the dependencies. Use as few sub-tasks as do the work well.",
    taskOf(spec),
    `The participants:\n${rosterOf(spec.participants)}`,
    "Do not do the task yourself now: you get all the results in the end, to review them and to write the result.",
  ].join("\n\n");
  return { message, schema: schema as Record<string, unknown> };
}
