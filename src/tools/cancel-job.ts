import * as z from "zod";
import { unwrap } from "../platform/errors.ts";
import { idempotencyKey, jobId, prose } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, ENDS } from "./runtime/tool.ts";

export const cancelJob = defineTool({
  name: "cancel_job",
  title: "Cancel a job",
  description:
    "Stop a coordinated task and the messages that its instances work on for it. The instances stay. What was delivered before stays in get_job_status. A job that has ended stays as it is.",
  annotations: ENDS,
  changes: true,
  powers: ["message"],
  scope: "operate",
  input: z.strictObject({
    job_id: jobId,
    reason: prose().max(500).default("cancelled by request"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({ job_id: z.string(), status: z.string() }),
  forInstances: { touches: (input) => touching("job", input.job_id) },
  // Cancelling twice has no second effect, with or without a key.
  async run(context, input) {
    const { status } = unwrap(await context.jobApi(input.job_id).cancel(input.reason, context.audit));
    return {
      success: true,
      message: status === "cancelled" ? "The job is cancelled." : `The job had ended before: ${status}.`,
      job_id: input.job_id,
      status,
    };
  },
});
