/**
 * What the state of a step's message means for the step. Pure.
 */

import type { MessageView } from "../../contracts/instance.ts";
import type { StepKind } from "../../contracts/job.ts";
import type { Failure } from "../../platform/errors.ts";
import { NANO_PER_USD } from "../../platform/units.ts";

/** Tries per step, the first included. */
export const MAX_TRIES = 2;

/**
 * Whether another try may succeed: the model's server failed, or this one. What an instance decided, a cap stopped or the API
 * refused (4xx) will not change.
 */
function isPassing({ code, details }: Failure): boolean {
  if (code === "internal") return true;
  return code === "upstream_error" && !(typeof details?.status === "number" && details.status < 500);
}

/** Kinds of steps whose answer has to follow a schema. */
const STRUCTURED: ReadonlySet<StepKind> = new Set<StepKind>(["split", "cluster", "vote", "tiebreak", "plan"]);

export type Outcome =
  | { kind: "open" }
  | { kind: "completed"; text: string; structured: unknown; simulated: boolean; costNano: number }
  /** Ask once more. */
  | { kind: "retry"; costNano: number }
  /** `recall`: the message is still open and has to be cancelled. */
  | { kind: "failed"; error: Failure; costNano: number; recall: boolean };

export function outcomeOf(view: MessageView, step: { kind: StepKind; tries: number }): Outcome {
  const costNano = Math.round((view.response?.cost ?? view.cost ?? 0) * NANO_PER_USD);
  // A cap paused it. Other steps wait for this one, and whether the cap will be raised is unknown.
  if (view.paused) return { kind: "failed", error: view.paused, costNano, recall: true };
  switch (view.state) {
    case "queued":
    case "running":
    case "waiting":
      return { kind: "open" };
    case "completed": {
      const { response, structured, simulated } = { response: "", structured: undefined, ...view.response };
      if (STRUCTURED.has(step.kind) && structured === undefined) {
        const error: Failure = {
          code: "schema_mismatch",
          message: "The answer does not have the form that was asked for.",
        };
        return { kind: "failed", error, costNano, recall: false };
      }
      return {
        kind: "completed",
        text: response,
        structured: structured ?? null,
        simulated: simulated === true,
        costNano,
      };
    }
    case "failed":
    case "refused":
    case "cancelled": {
      const error: Failure = view.error ?? { code: "internal", message: `The message ended as ${view.state}.` };
      if (view.state === "failed" && isPassing(error) && step.tries < MAX_TRIES) return { kind: "retry", costNano };
      return { kind: "failed", error, costNano, recall: false };
    }
  }
}
