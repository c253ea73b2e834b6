/**
 * `sequential`: a pipeline. Each participant gets the task and what came before; the coordinator writes the result.
 */
import type { JobSpec } from "../../contracts/job.ts";
import { merged, mergeQuestion } from "./merge.ts";
import { type Contribution, DATA_NOTE, fenced, plain, taskOf } from "./prompts.ts";
import { finalStep, isOpen, type Steps, type Strategy } from "./strategy.ts";

const keyOf = (place: number) => `work:${place}`;

export const sequential: Strategy = {
  next(spec, steps) {
    for (const [place, { instance_id }] of spec.participants.entries()) {
      const step = steps.get(keyOf(place));
      if (!step) return { kind: "start", steps: [{ key: keyOf(place), kind: "work", instance_id }] };
      if (isOpen(step)) return { kind: "wait" };
    }
    return finalStep(spec, steps, worked(spec, steps));
  },

  ask(spec, steps, step, textOf) {
    if (step.kind === "result")
      return mergeQuestion(spec, steps, textOf, "in this order, each building on the ones before");
    const place = Number(step.key.slice(keyOf(0).length - 1));
    const before = spec.participants
      .slice(0, place)
      .flatMap((from, earlier): Contribution[] =>
        steps.get(keyOf(earlier))?.state === "completed" ? [{ from, text: textOf(keyOf(earlier)) }] : [],
      );
    const parts = [
      `You and others work on a task one after another. You are number ${place + 1} of ${spec.participants.length}; in the end ${plain(spec.coordinator.name)} puts the result together.`,
      taskOf(spec),
      before.length === 0
        ? "Nobody has delivered anything before you: begin."
        : `What those before you delivered, in order. ${DATA_NOTE}\n\n${fenced(before)}`,
      "Do your part, from your role, and build on what is there. Answer with your contribution alone, complete in itself.",
    ];
    return { message: parts.join("\n\n"), schema: null };
  },

  result: merged,
};

function worked(spec: JobSpec, steps: Steps) {
  return spec.participants.flatMap((_member, place) => steps.get(keyOf(place)) ?? []);
}
