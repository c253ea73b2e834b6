/**
 * How a job goes on: everything that its rows allow, by the course of its type. Rows alone; what is due by them is brought out
 * afterwards (dispatch.ts).
 */

import { isFinalJob, type JobSpec } from "../contracts/job.ts";
import type { Failure } from "../platform/errors.ts";
import { end, endOf, jobRow, reportAt } from "./job-state.ts";
import { begin, hasOpen, stepRows, stepsOf, stopAll } from "./steps.ts";
import { COURSES } from "./strategies/index.ts";

/** Call inside a transaction. Returns whether the job has come to its end by this. Throws when a course breaks on its rows. */
export function goOn(sql: SqlStorage, spec: JobSpec, now: number): boolean {
  let ended = false;
  while (!isFinalJob(jobRow(sql).state)) {
    // Only the plan of a delegated job lets anything begin while steps are under way.
    if (spec.type !== "delegated" && hasOpen(sql)) return false;
    const known = stepsOf(stepRows(sql));
    const move = COURSES[spec.type].next(spec, known);
    switch (move.kind) {
      case "wait":
        return false;
      case "start":
        begin(sql, spec, move.steps, now);
        break;
      case "end": {
        const state = endOf(known.values(), move.error);
        end(sql, state, move.error ?? null, now);
        ended = true;
        break;
      }
    }
    reportAt(sql, now);
  }
  return ended;
}

/** Ends a job whose course broke on its rows: it would break on them for ever. Call inside a transaction. */
export function giveUp(sql: SqlStorage, now: number): void {
  stopAll(sql, "the job could not go on", now);
  const failure: Failure = { code: "internal", message: "The job could not go on, for a reason inside the server." };
  end(sql, "failed", failure, now);
  reportAt(sql, now);
}
