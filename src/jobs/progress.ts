/**
 * How a job goes on: everything that its rows allow, by the course of its type. Rows alone; what is due by them is brought out
 * afterwards (dispatch.ts).
 */

import { isFinalJob, type JobSpec } from "../contracts/job.ts";
import type { Failure } from "../platform/errors.ts";
import type { Tx } from "../platform/transaction.ts";
import { end, endOf, jobRow, reportAt } from "./job-state.ts";
import { begin, hasOpen, stepRows, stepsOf, stopAll } from "./steps.ts";
import { COURSES } from "./strategies/index.ts";

/** Returns whether the job has come to its end by this. Throws when a course breaks on its rows. */
export function goOn(tx: Tx, spec: JobSpec, now: number): boolean {
  let ended = false;
  while (!isFinalJob(jobRow(tx).state)) {
    // Only the plan of a delegated job lets anything begin while steps are under way.
    if (spec.type !== "delegated" && hasOpen(tx)) return false;
    const known = stepsOf(stepRows(tx));
    const move = COURSES[spec.type].next(spec, known);
    switch (move.kind) {
      case "wait":
        return false;
      case "start":
        begin(tx, spec, move.steps, now);
        break;
      case "end": {
        const state = endOf(known.values(), move.error);
        end(tx, state, move.error ?? null, now);
        ended = true;
        break;
      }
    }
    reportAt(tx, now);
  }
  return ended;
}

/** Ends a job whose course broke on its rows: it would break on them for ever. */
export function giveUp(tx: Tx, now: number): void {
  stopAll(tx, "the job could not go on", now);
  const failure: Failure = { code: "internal", message: "The job could not go on, for a reason inside the server." };
  end(tx, "failed", failure, now);
  reportAt(tx, now);
}
