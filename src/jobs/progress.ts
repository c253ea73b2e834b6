/**
 * The progress of a job: takes every step that its rows allow, as its strategy decides. It only writes rows; dispatch.ts delivers
 * what they make due.
 */

import { isFinalJob, type JobSpec } from "../contracts/job.ts";
import type { Failure } from "../platform/errors.ts";
import type { Tx } from "../platform/transaction.ts";
import { end, endOf, jobRow, reportAt } from "./job-state.ts";
import { begin, hasOpen, stepRows, stepsOf, stopAll } from "./steps.ts";
import { STRATEGIES } from "./strategies/index.ts";

/** Returns whether the job has ended by this. Throws when the strategy fails on its rows. */
export function advance(tx: Tx, spec: JobSpec, now: number): boolean {
  let ended = false;
  while (!isFinalJob(jobRow(tx).state)) {
    // Only a delegated job begins steps while others are under way.
    if (spec.type !== "delegated" && hasOpen(tx)) return false;
    const known = stepsOf(stepRows(tx));
    const decision = STRATEGIES[spec.type].next(spec, known);
    switch (decision.kind) {
      case "wait":
        return false;
      case "start":
        begin(tx, spec, decision.steps, now);
        break;
      case "end": {
        const state = endOf(known.values(), decision.error);
        end(tx, state, decision.error ?? null, now);
        ended = true;
        break;
      }
    }
    reportAt(tx, now);
  }
  return ended;
}

/** Ends a job whose strategy failed on its rows, as it would do every time. */
export function failBroken(tx: Tx, now: number): void {
  stopAll(tx, "the job could not go on", now);
  const failure: Failure = { code: "internal", message: "The job could not go on, for a reason inside the server." };
  end(tx, "failed", failure, now);
  reportAt(tx, now);
}
