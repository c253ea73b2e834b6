/**
 * The course of a job: which steps come next, and what each asks. One course a type, and all of it pure: the same rows give the
 * same next step, after a crash as well as before.
 */

import type { JobResult, JobSpec, Output, StepKind, StepState } from "../../contracts/job.ts";
import type { Failure } from "../../platform/errors.ts";

/** A step as its course sees it: its row without the text of its answer. */
export interface StepView {
  /** Its name in the job, such as `work:0`. */
  key: string;
  kind: StepKind;
  instance_id: string;
  state: StepState;
  /** The answer to a question with a schema, once completed. */
  structured: unknown;
  error: Failure | null;
}

export type Steps = ReadonlyMap<string, StepView>;

/** A step that is to begin. `skip`: it is not asked for, and why. */
export interface NewStep {
  key: string;
  kind: StepKind;
  instance_id: string;
  skip?: Failure;
}

export type Move =
  | { kind: "start"; steps: NewStep[] }
  /** Steps are under way. */
  | { kind: "wait" }
  /** It is over; with `error` it came to nothing. */
  | { kind: "end"; error?: Failure };

/** What a step asks its instance. `schema`: a JSON Schema of the answer, or null for free text. */
export interface Question {
  message: string;
  schema: Record<string, unknown> | null;
}

export interface Course {
  next(spec: JobSpec, steps: Steps): Move;
  /** `textOf`: the answer to a completed step. All that it reads is final, so asking twice gives the same question. */
  ask(spec: JobSpec, steps: Steps, step: Pick<StepView, "key" | "kind" | "instance_id">, textOf: TextOf): Question;
  result(spec: JobSpec, steps: Steps, outputs: Output[], textOf: TextOf): JobResult;
}

export type TextOf = (key: string) => string;

export function isOpen(step: StepView): boolean {
  return step.state === "queued" || step.state === "running";
}

/**
 * One step after which everything else comes. Returns it once it is completed, else what to do: start it, wait for it, or
 * end the job with its failure. For steps of the coordinator, without which a job can't go on.
 */
export function needed(steps: Steps, step: NewStep): { done: StepView } | { move: Move } {
  const known = steps.get(step.key);
  if (!known) return { move: { kind: "start", steps: [step] } };
  if (isOpen(known)) return { move: { kind: "wait" } };
  return known.state === "completed" ? { done: known } : { move: { kind: "end", error: coordinatorFailed(known) } };
}

/**
 * Steps that begin together. Returns them once none is open, else what to do: start those that have not begun, or wait.
 */
export function together(steps: Steps, wanted: readonly NewStep[]): { done: StepView[] } | { move: Move } {
  const missing = wanted.filter((step) => !steps.has(step.key));
  if (missing.length > 0) return { move: { kind: "start", steps: missing } };
  const known = wanted.flatMap((step) => steps.get(step.key) ?? []);
  return known.some(isOpen) ? { move: { kind: "wait" } } : { done: known };
}

/**
 * The coordinator's last word, once the participants are done: asked for if any of them delivered something, and the end of
 * the job either way.
 */
export function lastWord(spec: JobSpec, steps: Steps, delivered: readonly StepView[]): Move {
  if (!delivered.some((step) => step.state === "completed")) return { kind: "end", error: nobodyDelivered(delivered) };
  const word = needed(steps, { key: RESULT, kind: "result", instance_id: spec.coordinator.instance_id });
  return "move" in word ? word.move : { kind: "end" };
}

/** The key of the coordinator's last word. */
export const RESULT = "result";

export function nobodyDelivered(steps: readonly StepView[]): Failure {
  const first = steps.find((step) => step.error !== null)?.error;
  return {
    code: first?.code ?? "internal",
    message: `No participant did its part. The first failure: ${first?.message ?? "none was told"}`,
    details: { steps: steps.slice(0, 20).map((step) => step.key) },
  };
}

function coordinatorFailed(step: StepView): Failure {
  return {
    code: step.error?.code ?? "internal",
    message: `The coordinator's step ${step.key} failed: ${step.error?.message ?? "no reason was told"} What the participants delivered is in the result.`,
    details: { step: step.key, instance_id: step.instance_id },
  };
}

/** An answer of the coordinator that can't be used, also not after it was told why. */
export function unusable(step: StepView, what: string, problem: string): Failure {
  return {
    code: "schema_mismatch",
    message: `The coordinator's ${what} can't be used, also after one repair: ${problem}.`,
    details: { step: step.key, instance_id: step.instance_id, problem },
  };
}

/**
 * A structured answer of the coordinator that has to make sense beyond its schema: asked for as `<key>:1`, and once more as
 * `<key>:2`, with what was wrong. Returns the value once it makes sense, else what to do.
 */
export function sensible<T>(
  steps: Steps,
  wanted: { key: string; kind: StepKind; instance_id: string; what: string },
  read: (structured: unknown) => Reading<T>,
): { value: T } | { move: Move } {
  const { key, kind, instance_id } = wanted;
  const first = needed(steps, { key: `${key}:1`, kind, instance_id });
  if ("move" in first) return first;
  const reading = read(first.done.structured);
  if (reading.ok) return { value: reading.value };
  const second = needed(steps, { key: `${key}:2`, kind, instance_id });
  if ("move" in second) return second;
  const again = read(second.done.structured);
  if (again.ok) return { value: again.value };
  return { move: { kind: "end", error: unusable(second.done, wanted.what, again.problem) } };
}

export type Reading<T> = { ok: true; value: T } | { ok: false; problem: string };

/** The value of a `sensible` answer that is known to be there. */
export function sensed<T>(steps: Steps, key: string, read: (structured: unknown) => Reading<T>): T | null {
  for (const one of [`${key}:2`, `${key}:1`]) {
    const step = steps.get(one);
    const reading = step?.state === "completed" ? read(step.structured) : null;
    if (reading?.ok) return reading.value;
  }
  return null;
}
