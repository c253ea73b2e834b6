/**
 * A coordination strategy: which steps come next, and what each of them asks. There is one per coordination type, and all of it
 * is pure: the same rows give the same decision, after a crash as well as before.
 */

import type { JobResult, JobSpec, Output, StepKind, StepState } from "../../contracts/job.ts";
import type { Failure } from "../../platform/errors.ts";

/** A step as a strategy sees it: its row without the text of its answer. */
export interface StepView {
  /** Its name within the job, such as `work:0`. */
  key: string;
  kind: StepKind;
  instance_id: string;
  state: StepState;
  /** The answer to a question with a schema, once completed. */
  structured: unknown;
  error: Failure | null;
}

export type Steps = ReadonlyMap<string, StepView>;

/** A step to begin. `skip`: it is recorded but not asked for, and why. */
export interface NewStep {
  key: string;
  kind: StepKind;
  instance_id: string;
  skip?: Failure;
}

export type Decision =
  | { kind: "start"; steps: NewStep[] }
  /** Wait for the steps that are under way. */
  | { kind: "wait" }
  /** The job is over; with `error` it has failed. */
  | { kind: "end"; error?: Failure };

/** What a step asks its instance. `schema`: the JSON Schema of the answer, or null for free text. */
export interface Question {
  message: string;
  schema: Record<string, unknown> | null;
}

export interface Strategy {
  next(spec: JobSpec, steps: Steps): Decision;
  /** `textOf`: the answer to a completed step. It reads final rows only, so asking again gives the same question. */
  ask(spec: JobSpec, steps: Steps, step: Pick<StepView, "key" | "kind" | "instance_id">, textOf: TextOf): Question;
  result(spec: JobSpec, steps: Steps, outputs: Output[], textOf: TextOf): JobResult;
}

export type TextOf = (key: string) => string;

export function isOpen(step: StepView): boolean {
  return step.state === "queued" || step.state === "running";
}

/**
 * A step that everything after it depends on. Returns it once it is completed, else the decision: start it, wait for it, or end
 * the job with its failure. For steps of the coordinator, without which a job can't go on.
 */
export function needed(steps: Steps, step: NewStep): { done: StepView } | { decision: Decision } {
  const known = steps.get(step.key);
  if (!known) return { decision: { kind: "start", steps: [step] } };
  if (isOpen(known)) return { decision: { kind: "wait" } };
  return known.state === "completed" ? { done: known } : { decision: { kind: "end", error: coordinatorFailed(known) } };
}

/**
 * Steps that begin together. Returns them once none is open, else the decision: start those that have not begun, or wait.
 */
export function together(steps: Steps, wanted: readonly NewStep[]): { done: StepView[] } | { decision: Decision } {
  const missing = wanted.filter((step) => !steps.has(step.key));
  if (missing.length > 0) return { decision: { kind: "start", steps: missing } };
  const known = wanted.flatMap((step) => steps.get(step.key) ?? []);
  return known.some(isOpen) ? { decision: { kind: "wait" } } : { done: known };
}

/**
 * The coordinator's final step, once the participants are done: taken if any of them delivered something, and the end of the
 * job either way.
 */
export function finalStep(spec: JobSpec, steps: Steps, delivered: readonly StepView[]): Decision {
  if (!delivered.some((step) => step.state === "completed")) return { kind: "end", error: nobodyDelivered(delivered) };
  const word = needed(steps, { key: RESULT, kind: "result", instance_id: spec.coordinator.instance_id });
  return "decision" in word ? word.decision : { kind: "end" };
}

/** The key of the coordinator's final step. */
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

/** The failure for an answer of the coordinator that is still invalid after it was told why. */
export function unusable(step: StepView, what: string, problem: string): Failure {
  return {
    code: "schema_mismatch",
    message: `The coordinator's ${what} can't be used, also after one repair: ${problem}.`,
    details: { step: step.key, instance_id: step.instance_id, problem },
  };
}

/**
 * A structured answer of the coordinator that needs more checks than its schema: asked for as `<key>:1`, and once more, with what
 * was wrong, as `<key>:2`. Returns the value once it parses, else the decision.
 */
export function parseOrRetry<T>(
  steps: Steps,
  wanted: { key: string; kind: StepKind; instance_id: string; what: string },
  read: (structured: unknown) => Parsed<T>,
): { value: T } | { decision: Decision } {
  const { key, kind, instance_id } = wanted;
  const first = needed(steps, { key: `${key}:1`, kind, instance_id });
  if ("decision" in first) return first;
  const reading = read(first.done.structured);
  if (reading.ok) return { value: reading.value };
  const second = needed(steps, { key: `${key}:2`, kind, instance_id });
  if ("decision" in second) return second;
  const again = read(second.done.structured);
  if (again.ok) return { value: again.value };
  return { decision: { kind: "end", error: unusable(second.done, wanted.what, again.problem) } };
}

export type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

/** The value that `parseOrRetry` found, once it has; null before. */
export function parsed<T>(steps: Steps, key: string, read: (structured: unknown) => Parsed<T>): T | null {
  for (const one of [`${key}:2`, `${key}:1`]) {
    const step = steps.get(one);
    const reading = step?.state === "completed" ? read(step.structured) : null;
    if (reading?.ok) return reading.value;
  }
  return null;
}
