/**
 * The routes of coordinated tasks, over the same tools as everywhere.
 */
import { Hono } from "hono";
import { JOB_STATES, type JobState } from "../../contracts/job.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import type { RestEnv } from "../hono-env.ts";
import { bodyOf, json, limited, wholeNumber } from "../json.ts";

const MAX_PAGE = 500;

export function createJobs(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.post("/jobs", limited, async (c) =>
    json(
      await dispatch(
        c.get("call"),
        "coordinate_instances",
        await bodyOf(c.req.raw),
        c.req.header("idempotency-key") ?? null,
      ),
    ),
  );

  app.get("/jobs", async (c) => {
    const { state, cursor, limit = "100" } = c.req.query();
    const count = wholeNumber(limit);
    if (typeof count === "string" || count < 1 || count > MAX_PAGE) throw invalid("limit", `is 1 to ${MAX_PAGE}`);
    if (state !== undefined && !JOB_STATES.includes(state as JobState)) {
      throw invalid("state", `is one of ${JOB_STATES.join(", ")}`);
    }
    if (cursor !== undefined && !isJobId(cursor)) throw invalid("cursor", "is next_cursor of the page before");
    const page = await c.get("call").orchestrator.jobs({
      limit: count,
      ...(state === undefined ? {} : { state }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return c.json({ success: true, message: `${page.jobs.length} jobs.`, ...page });
  });

  app.get("/jobs/:id", async (c) =>
    json(await dispatch(c.get("call"), "get_job_status", { job_id: c.req.param("id") })),
  );

  app.delete("/jobs/:id", async (c) => {
    const id = c.req.param("id");
    if (!isJobId(id)) throw new MadroxError("invalid_input", "That is no job id.", { field: "job_id" });
    const call = c.get("call");
    const removed = await recorded(call, "delete_job", id, async (audit) =>
      unwrap(await call.orchestrator.eraseJob(id, audit)),
    );
    const message = `Deleted for good: ${removed.steps} steps with ${removed.answers} answers. What was said stays with the instances.`;
    return json({ success: true, message, job_id: id, removed });
  });

  app.post("/jobs/:id/cancel", limited, async (c) => {
    const body = c.req.raw.body === null ? {} : await bodyOf(c.req.raw);
    const key = c.req.header("idempotency-key") ?? null;
    return json(await dispatch(c.get("call"), "cancel_job", { ...body, job_id: c.req.param("id") }, key));
  });

  return app;
}

function invalid(field: string, rule: string): MadroxError {
  return new MadroxError("invalid_input", `${field} ${rule}.`, { field });
}
