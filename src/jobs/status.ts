/**
 * The status of a job as callers see it, made from its rows.
 */

import { isFinalJob, type JobSpec, type JobStatus, type Output, type StepStatus } from "../contracts/job.ts";
import type { Failure } from "../platform/errors.ts";
import { NANO_PER_USD } from "../platform/units.ts";
import { jobRow } from "./job-state.ts";
import { outputOf, type StepRow, stepRows, stepsOf } from "./steps.ts";
import { dependenciesOf } from "./strategies/dependencies.ts";
import { STRATEGIES } from "./strategies/index.ts";
import { shares } from "./strategies/prompts.ts";

/** Characters of the participants' answers per status: clients cut off longer results. */
const OUTPUT_BUDGET = 40_000;

export function statusOf(sql: SqlStorage, spec: JobSpec): JobStatus {
  const row = jobRow(sql);
  const rows = stepRows(sql);
  const names = new Map([spec.coordinator, ...spec.participants].map((member) => [member.instance_id, member.name]));
  const steps = stepsOf(rows);
  const dependencies = dependenciesOf(spec, steps);
  const status: JobStatus = {
    job_id: spec.job_id,
    type: spec.type,
    status: row.state,
    coordinator_id: spec.coordinator.instance_id,
    participant_ids: spec.participants.map((member) => member.instance_id),
    created_at: iso(spec.created_at),
    started_at: iso(row.started_at),
    finished_at: row.finished_at === null ? null : iso(row.finished_at),
    steps: rows.map((step) => stepStatus(step, names.get(step.instance_id) ?? "", dependencies.get(step.key) ?? [])),
  };
  if (rows.some((step) => step.simulated)) status.simulated = true;
  if (row.error !== null) status.error = JSON.parse(row.error) as Failure;
  if (isFinalJob(row.state)) {
    const textOf = (key: string) => outputOf(sql, key);
    status.result = STRATEGIES[spec.type].result(spec, steps, outputs(rows, names, textOf), textOf);
  }
  return status;
}

function stepStatus(row: StepRow, name: string, dependsOn: readonly string[]): StepStatus {
  return {
    step: row.key,
    kind: row.kind,
    instance_id: row.instance_id,
    name,
    status: row.state,
    depends_on: [...dependsOn],
    message_ids: JSON.parse(row.message_ids) as string[],
    started_at: iso(row.started_at),
    finished_at: row.finished_at === null ? null : iso(row.finished_at),
    cost: row.cost_nano / NANO_PER_USD,
    ...(row.simulated ? { simulated: true as const } : {}),
    ...(row.error === null ? {} : { error: JSON.parse(row.error) as Failure }),
  };
}

/** The participants' answers, each cut to a fair share of the budget. */
function outputs(
  rows: readonly StepRow[],
  names: ReadonlyMap<string, string>,
  textOf: (key: string) => string,
): Output[] {
  const given = rows.filter((row) => row.state === "completed" && (row.kind === "work" || row.kind === "task"));
  const whole = given.map((row) => textOf(row.key));
  const texts = shares(whole, OUTPUT_BUDGET);
  return given.map((row, i) => ({
    step: row.key,
    instance_id: row.instance_id,
    name: names.get(row.instance_id) ?? "",
    text: texts[i] ?? "",
    message_id: row.message_id,
    ...(texts[i] === whole[i] ? {} : { more: "get_instance_output of the instance has the answer whole." }),
  }));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
