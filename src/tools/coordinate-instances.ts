import * as z from "zod";
import { COORDINATION_TYPES, type CoordinationType } from "../contracts/job.ts";
import type { JobReceipt } from "../contracts/records.ts";
import { originOf } from "../contracts/request-origin.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { LEAST_USD } from "../platform/units.ts";
import { assertSize, idempotencyKey, instanceId, prose } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool, type ToolContext } from "./runtime/tool.ts";

const MAX_PARTICIPANTS = 256;
/** The task goes to every participant. In bytes. */
const MAX_TASK_BYTES = 102_400;

const coordinateInput = z.strictObject({
  coordinator_id: instanceId.describe("The instance that plans, merges and breaks ties; none of the participants"),
  participant_ids: z.array(instanceId).min(1).max(MAX_PARTICIPANTS).describe("Who does the work, in this order"),
  task_description: prose().describe("The task, with everything that is needed to do it"),
  coordination_type: z
    .enum(COORDINATION_TYPES)
    .default("sequential")
    .describe(
      "sequential: one after the other, each sees what came before. parallel: all at once. consensus: blind proposals, then secret ballots. delegated: the coordinator plans sub-tasks with dependencies; ready ones run at once. The coordinator writes the result",
    ),
  options: z
    .strictObject({
      choices: z
        .array(prose().max(500))
        .min(2)
        .max(50)
        .optional()
        .describe(
          "consensus: what to vote on, word for word. Default: the coordinator makes them from everyone's proposals",
        ),
      quorum: z
        .number()
        .positive()
        .max(MAX_PARTICIPANTS)
        .optional()
        .describe(
          "consensus: how many valid ballots a decision needs; up to 1 a share of the participants (default 0.5), above 1 a number",
        ),
      threshold: z
        .number()
        .positive()
        .max(1)
        .optional()
        .describe(
          "consensus: the share of the valid ballots that the decision needs. Default: more than any other choice",
        ),
      rounds: z
        .int()
        .min(1)
        .max(5)
        .optional()
        .describe("consensus: rounds of voting at most (default 1); another only while there is no decision"),
      split: z
        .boolean()
        .optional()
        .describe(
          "parallel: the coordinator first splits the task among the participants by their roles (default false)",
        ),
      step_timeout_seconds: z
        .number()
        .min(1)
        .max(86_400)
        .default(1_800)
        .describe("A step that takes longer is stopped and counts as failed"),
      max_cost: z
        .number()
        .min(LEAST_USD)
        .max(1_000_000)
        .optional()
        .describe("USD, of all model calls of the job together; checked before each. A step that does not fit fails"),
    })
    .prefault({}),
  idempotency_key: idempotencyKey,
});

/** The options that only one type has. */
const OPTIONS_OF = {
  choices: "consensus",
  quorum: "consensus",
  threshold: "consensus",
  rounds: "consensus",
  split: "parallel",
} as const satisfies Record<string, CoordinationType>;

export const coordinateInstances = defineTool({
  name: "coordinate_instances",
  title: "Let instances work together on a task",
  description:
    "Start a job: the server runs a task with several instances, durably. Answers at once with task_id (the job_id): wait for it, get_job_status shows every step and the result, cancel_job stops it. A participant that fails makes the result partial.",
  annotations: ADDS,
  changes: true,
  powers: ["message", "spend"],
  scope: "operate",
  input: coordinateInput,
  output: answer({ task_id: z.string(), job_id: z.string(), status: z.string() }),
  forInstances: {
    touches: (input) => [
      ...touching("coordinate", input.coordinator_id),
      ...touching("participate", ...input.participant_ids),
    ],
    description:
      "Have instances below you work together on a task: the server asks each of them what its part needs. Answers at once with task_id (the job_id); wait with it brings the result. Let one of them coordinate: you can't wait for a job that waits for you.",
  },
  async run(context, input) {
    const { job_id } = await start(context, input);
    return {
      success: true,
      message: `The job is accepted and runs by itself. Call wait with ${job_id}, or get_job_status.`,
      task_id: job_id,
      job_id,
      status: "queued",
    };
  },
  async begin(context, input) {
    const { job_id, created_at } = await start(context, input);
    return { taskId: job_id, createdAt: created_at };
  },
});

/** Commits the job. From here on it runs. */
async function start(context: ToolContext, input: z.output<typeof coordinateInput>): Promise<JobReceipt> {
  const { options, coordination_type: type } = input;
  assertSize(
    "task_description",
    input.task_description,
    MAX_TASK_BYTES,
    "Write what is long into a file that the instances can read, or send it to them first.",
  );
  for (const [option, only] of Object.entries(OPTIONS_OF)) {
    if (options[option as keyof typeof OPTIONS_OF] === undefined || only === type) continue;
    throw invalid(`options.${option} belongs to ${only}, and coordination_type is ${type}. Leave it out.`, option);
  }
  if (type === "consensus" && input.participant_ids.length < 2) {
    throw new MadroxError("invalid_input", "A consensus takes at least 2 participants.", { field: "participant_ids" });
  }
  if (options.quorum !== undefined && options.quorum > 1 && options.quorum > input.participant_ids.length) {
    throw invalid(
      `options.quorum is ${options.quorum}, and there are only ${input.participant_ids.length} participants.`,
      "quorum",
    );
  }
  if (options.choices && new Set(options.choices).size < options.choices.length) {
    throw invalid("options.choices names a choice twice.", "choices");
  }
  return unwrap(
    await context.orchestrator.coordinate({
      tenant: context.principal.tenant,
      type,
      coordinator_id: input.coordinator_id,
      participant_ids: input.participant_ids,
      task: input.task_description,
      options: {
        choices: options.choices ?? null,
        quorum: options.quorum ?? 0.5,
        threshold: options.threshold ?? null,
        rounds: options.rounds ?? 1,
        split: options.split ?? false,
        step_timeout_seconds: options.step_timeout_seconds,
      },
      max_cost: options.max_cost ?? null,
      creator: context.principal.instance,
      within_job: context.job ?? null,
      trace: context.trace ?? null,
      ...originOf(context),
    }),
  );
}

function invalid(message: string, option: string): MadroxError {
  return new MadroxError("invalid_input", message, { field: `options.${option}` });
}
