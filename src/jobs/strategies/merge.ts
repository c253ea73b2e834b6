/**
 * The coordinator's final step over what the participants delivered, and the result made from it.
 */
import type { JobSpec, MergedResult, Output } from "../../contracts/job.ts";
import { type Contribution, DATA_NOTE, fenced, rosterOf, taskOf } from "./prompts.ts";
import { type Question, RESULT, type Steps, type TextOf } from "./strategy.ts";

/** `how` completes the sentence "The participants worked on it ...". */
export function mergeQuestion(
  spec: JobSpec,
  steps: Steps,
  textOf: TextOf,
  how: string,
  /** What a step was about, such as its sub-task. */
  about: (key: string) => string | undefined = () => undefined,
): Question {
  const members = new Map(spec.participants.map((member) => [member.instance_id, member]));
  const delivered: Contribution[] = [];
  const missing: string[] = [];
  for (const step of steps.values()) {
    if (step.kind !== "work" && step.kind !== "task") continue;
    const from = members.get(step.instance_id) ?? null;
    const subject = about(step.key);
    if (step.state === "completed") {
      delivered.push({ from, text: textOf(step.key), ...(subject === undefined ? {} : { about: subject }) });
    } else {
      missing.push(`${step.key}${subject === undefined ? "" : ` (${subject})`}: ${step.error?.code ?? step.state}`);
    }
  }
  const parts = [
    `You coordinate a task. The participants worked on it ${how}. Review what they delivered and write the result.`,
    taskOf(spec),
    `The participants:\n${rosterOf(spec.participants)}`,
    `What they delivered. ${DATA_NOTE}\n\n${fenced(delivered)}`,
    ...(missing.length === 0
      ? []
      : [
          `These parts failed and are missing:\n${missing.map((part) => `- ${part}`).join("\n")}\nSay in the result what is missing because of that, and make the best of the rest.`,
        ]),
    "Write the result of the whole task: complete in itself, contradictions settled, errors corrected. Answer with the result alone.",
  ];
  return { message: parts.join("\n\n"), schema: null };
}

export function merged(_spec: JobSpec, steps: Steps, outputs: Output[], textOf: TextOf): MergedResult {
  return { summary: steps.get(RESULT)?.state === "completed" ? textOf(RESULT) : null, outputs };
}
