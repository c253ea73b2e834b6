/** Coordinated tasks: start, list, look, cancel, delete. */
import * as z from "zod";
import { JOB_STATES } from "../../contracts/job.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { cancelJob } from "../../tools/cancel-job.ts";
import { coordinateInstances } from "../../tools/coordinate-instances.ts";
import { getJobStatus } from "../../tools/get-job-status.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { json } from "../json.ts";
import { query } from "../query.ts";
import { defineRoute, type Route } from "../route.ts";
import { toolRoute } from "../tool-route.ts";

const startJob = toolRoute({
  method: "POST",
  path: "/jobs",
  tool: coordinateInstances,
  operation: { id: "startJob", tag: "teams", summary: "Start a coordinated task" },
});

const listJobs = defineRoute({
  method: "GET",
  path: "/jobs",
  access: "read",
  query: query({
    state: z.enum(JOB_STATES).optional().describe("Only jobs in this state"),
    limit: z.int().min(1).max(500).default(100),
    cursor: z
      .string()
      .refine(isJobId, "is next_cursor of the page before")
      .optional()
      .describe("next_cursor of the page before"),
  }),
  operation: { id: "listJobs", tag: "teams", summary: "The coordinated tasks, filtered and paged" },
  async handle({ context, query: { state, limit, cursor } }) {
    const page = await context.orchestrator.jobs({
      limit,
      ...(state === undefined ? {} : { state }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return json({ success: true, message: `${page.jobs.length} jobs.`, ...page });
  },
});

const getJob = toolRoute({
  method: "GET",
  path: "/jobs/:id",
  tool: getJobStatus,
  params: { id: "job_id" },
  operation: { id: "getJob", tag: "teams", summary: "The state of a coordinated task" },
});

const deleteJob = defineRoute({
  method: "DELETE",
  path: "/jobs/:id",
  access: "admin",
  operation: {
    id: "deleteJob",
    tag: "teams",
    summary: "Delete a coordinated task that is over, for good",
    errors: ["conflict"],
  },
  async handle({ context, params: { id } }) {
    if (!isJobId(id)) throw new MadroxError("invalid_input", "That is no job id.", { field: "job_id" });
    const removed = await recorded(context, "delete_job", id, async (audit) =>
      unwrap(await context.orchestrator.eraseJob(id, audit)),
    );
    const message = `Deleted for good: ${removed.steps} steps with ${removed.answers} answers. What was said stays with the instances.`;
    return json({ success: true, message, job_id: id, removed });
  },
});

const postCancel = toolRoute({
  method: "POST",
  path: "/jobs/:id/cancel",
  tool: cancelJob,
  params: { id: "job_id" },
  operation: { id: "cancelJob", tag: "teams", summary: "Cancel a coordinated task" },
});

export const JOB_ROUTES: readonly Route[] = [startJob, listJobs, getJob, deleteJob, postCancel];
