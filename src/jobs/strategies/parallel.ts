/**
 * `parallel`: all participants work at once, optionally on parts that the coordinator has split the task into; then the
 * coordinator merges the answers.
 */
import * as z from "zod";
import type { JobSpec } from "../../contracts/job.ts";
import { merged, mergeQuestion } from "./merge.ts";
import { plain, rosterOf, taskOf } from "./prompts.ts";
import { finalStep, needed, type Steps, type Strategy, together } from "./strategy.ts";

const SPLIT = "split";
const keyOf = (place: number) => `work:${place}`;

export const parallel: Strategy = {
  next(spec, steps) {
    if (spec.options.split) {
      const split = needed(steps, { key: SPLIT, kind: "split", instance_id: spec.coordinator.instance_id });
      if ("decision" in split) return split.decision;
    }
    const work = together(
      steps,
      spec.participants.map(({ instance_id }, place) => ({ key: keyOf(place), kind: "work", instance_id })),
    );
    return "decision" in work ? work.decision : finalStep(spec, steps, work.done);
  },

  ask(spec, steps, step, textOf) {
    const partOf = (key: string) => partsOf(spec, steps)?.[spec.participants[placeOf(key)]?.instance_id ?? ""];
    if (step.kind === "result") return mergeQuestion(spec, steps, textOf, "independently and at the same time", partOf);
    if (step.kind === "split") return splitQuestion(spec);
    const part = partOf(step.key);
    const parts = [
      `You and ${spec.participants.length - 1} others work on a task at the same time, without seeing each other's work. In the end ${plain(spec.coordinator.name)} puts the result together.`,
      taskOf(spec),
      ...(part === undefined
        ? ["Work on the whole task, from your role."]
        : [`Your part of it, as the coordinator has split it:\n<part>\n${part}\n</part>`]),
      "Answer with your contribution alone, complete in itself.",
    ];
    return { message: parts.join("\n\n"), schema: null };
  },

  result: merged,
};

function placeOf(key: string): number {
  return Number(key.slice(keyOf(0).length - 1));
}

/** One text per participant, under its id, so that none can be left out or named twice. */
function splitSchema(spec: JobSpec) {
  return z.object(Object.fromEntries(spec.participants.map(({ instance_id }) => [instance_id, z.string()])));
}

/** What each participant was given, by instance id; null when nothing was split. An empty part is the whole task. */
function partsOf(spec: JobSpec, steps: Steps): Record<string, string> | null {
  const split = steps.get(SPLIT);
  if (split?.state !== "completed") return null;
  const parts = splitSchema(spec).parse(split.structured);
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part.trim() !== ""));
}

function splitQuestion(spec: JobSpec) {
  const message = [
    "You coordinate a task. Split it among the participants by their roles, so that their parts together make the whole and overlap as little as possible. They work at the same time and do not see each other's work.",
    taskOf(spec),
    `The participants:\n${rosterOf(spec.participants)}`,
    "For each participant, under its id, write what it is to do: complete in itself, with what has to fit the other parts.",
  ].join("\n\n");
  return { message, schema: z.toJSONSchema(splitSchema(spec)) as Record<string, unknown> };
}
