import * as z from "zod";
import { isFinalJob, type JobStatus } from "../contracts/job.ts";
import type { JobRecord } from "../contracts/records.ts";
import { unwrap } from "../platform/errors.ts";
import { jobId, simulated } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

export const getJobStatus = defineTool({
  name: "get_job_status",
  title: "See how a job stands",
  description:
    "How a coordinated task stands: its status (queued, running, completed, partial, failed, cancelled), each step with its instance, state, times, cost and message_ids, and, once it is over, the result. wait with the job_id waits for its end.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({ job_id: jobId }),
  output: answer({
    job_id: z.string(),
    type: z.string(),
    status: z.string(),
    coordinator_id: z.string(),
    participant_ids: z.array(z.string()),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    steps: z.array(z.looseObject({ step: z.string(), instance_id: z.string(), status: z.string() })),
    result: z.looseObject({}).optional(),
    failure: z.looseObject({ code: z.string(), message: z.string() }).optional(),
    cost: z.number(),
    unsettled_cost: z.number(),
    max_cost: z.number().nullable(),
    simulated,
  }),
  forInstances: { touches: (input) => touching("job", input.job_id) },
  async run(context, input) {
    const job = unwrap(await context.jobApi(input.job_id).status(0));
    return jobAnswer(job, await context.orchestrator.job(input.job_id));
  },
});

/** How a job stands, in the words of the public contract. `record`: what the registry knows of its money. */
export function jobAnswer(job: JobStatus, record: JobRecord | null) {
  const { error, ...rest } = job;
  return {
    success: true,
    message: sentenceOf(job),
    ...rest,
    // `error` beside `success: true` would read as a failure of this call.
    ...(error ? { failure: error } : {}),
    cost: record?.cost ?? 0,
    unsettled_cost: record?.unsettled_cost ?? 0,
    max_cost: record?.max_cost ?? null,
  };
}

function sentenceOf({ status, steps, error }: JobStatus): string {
  const done = steps.filter((step) => step.status === "completed").length;
  if (!isFinalJob(status)) return `The job is at work: ${done} of ${steps.length} steps begun are done.`;
  const lost = steps.filter((step) => step.status === "failed" || step.status === "skipped");
  const names = lost.slice(0, 5).map((step) => `${step.step} (${step.name})`);
  const missing = `${names.join(", ")}${lost.length > names.length ? ` and ${lost.length - names.length} more` : ""}`;
  switch (status) {
    case "completed":
      return "The job is completed.";
    case "partial":
      return `The job is finished without: ${missing}. The result stands on the rest.`;
    default:
      return error?.message ?? `The job has ended: ${status}.`;
  }
}
