/**
 * The REST door: plain routes over the same catalogue, with the same JSON as over MCP.
 */
import { Hono } from "hono";
import * as z from "zod";
import { auditOf } from "../../contracts/audited-call.ts";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { OrchestratorApi } from "../../contracts/orchestrator.ts";
import type { StatusRecord } from "../../contracts/records.ts";
import { prometheus } from "../../orchestrator/registry/metrics.ts";
import { healthView } from "../../orchestrator/registry/status.ts";
import { errorBody, MadroxError, unwrap } from "../../platform/errors.ts";
import { isInstanceId, isJobId } from "../../platform/ids.ts";
import { VERSION } from "../../platform/version.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { CATALOGUE } from "../../tools/runtime/catalogue.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import { jsonSchemaOf, type ToolAnswer } from "../../tools/runtime/tool.ts";
import { contextOf } from "../context.ts";
import type { RestEnv } from "../hono-env.ts";
import { bodyOf, flag, json, limited, wholeNumber } from "../json.ts";
import { createAudit } from "./audit.ts";
import { eventStream, PULL_MS } from "./events.ts";
import { createFiles } from "./files.ts";
import { createJobs } from "./jobs.ts";
import { createLive } from "./live.ts";
import { createSpend } from "./spend.ts";
import { createTemplates } from "./templates.ts";
import { createWebhooks } from "./webhooks.ts";

export function createRest(instanceTools: readonly InstanceTool[]): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.use(async (c, next) => {
    const principal = c.get("principal");
    if (principal)
      c.set("call", contextOf(c.env, instanceTools, { principal, signal: c.req.raw.signal, request: c.req.raw }));
    await next();
  });

  app.get("/health", async (c) => {
    if (!c.get("principal")) return c.json({ success: true, status: "healthy", version: VERSION });
    const page = await c.get("call").orchestrator.list({ limit: 1 });
    return c.json({
      success: true,
      status: "healthy",
      version: VERSION,
      simulated: c.get("call").config.anthropicApiKey === null,
      total_instances: page.total_instances,
      active_instances: page.active_instances,
      metrics: await c.get("call").orchestrator.metrics(),
    });
  });

  app.post("/sign-in", async (c) => {
    const { orchestrator, principal } = c.get("call");
    const { tenant, keyId, scopes } = principal;
    await orchestrator.record({ ...auditOf(principal, "sign_in"), scopes: scopes.join(" ") }, null, "ok");
    return c.json({ success: true, message: `Signed in to ${tenant}.`, tenant, key_id: keyId, scopes });
  });

  app.get("/metrics", async (c) => {
    const metrics = await c.get("call").orchestrator.metrics();
    return new Response(prometheus(metrics), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    });
  });

  app.get("/tools", (c) =>
    c.json({
      success: true,
      tools: CATALOGUE.map((tool) => ({
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input_schema: jsonSchemaOf(tool.input),
        output_schema: jsonSchemaOf(tool.output),
        annotations: tool.annotations,
      })),
    }),
  );

  app.post("/tools/execute", limited, async (c) => {
    const body = await bodyOf(c.req.raw);
    const { tool, arguments: input, ...rest } = body;
    const extra = Object.keys(rest);
    if (extra.length > 0) {
      throw new MadroxError(
        "invalid_input",
        `The body takes tool and arguments, not ${extra.slice(0, 5).join(", ").slice(0, 200).toWellFormed()}.`,
      );
    }
    return json(await dispatch(c.get("call"), tool, input, c.req.header("idempotency-key") ?? null));
  });

  app.post("/tools/:name", limited, async (c) => {
    const key = c.req.header("idempotency-key") ?? null;
    return json(await dispatch(c.get("call"), c.req.param("name"), await bodyOf(c.req.raw), key));
  });

  app.get("/instances", async (c) => {
    const { limit, ...query } = c.req.query();
    const input = { ...query, ...(limit === undefined ? {} : { limit: wholeNumber(limit) }) };
    return json(await dispatch(c.get("call"), "get_instance_status", input));
  });

  app.get("/instances/:id", async (c) =>
    json(await dispatch(c.get("call"), "get_instance_status", { instance_id: c.req.param("id") })),
  );

  app.delete("/instances/:id", async (c) => {
    const id = c.req.param("id");
    if (!isInstanceId(id)) throw new MadroxError("invalid_input", "That is no instance id.", { field: "instance_id" });
    const call = c.get("call");
    const removed = await recorded(call, "delete_instance", id, async (audit) =>
      unwrap(await call.orchestrator.erase(id, audit)),
    );
    return json({
      success: true,
      message: `Deleted for good: ${removed.messages} messages with their answers, and ${removed.files} files.`,
      instance_id: id,
      removed,
    });
  });

  app.post("/instances/:id/health", async (c) => {
    const id = c.req.param("id");
    const call = c.get("call");
    const known = await dispatch(call, "get_instance_status", { instance_id: id });
    if (!known.success) return json(known);
    const record = (known as ToolAnswer & { status: StatusRecord }).status;
    const found = await call.instance(id).checkup();
    const { unhealthy, ...checks } = unwrap(found);
    const health = healthView(unhealthy);
    return json({
      success: true,
      message: `${record.name} is ${record.state} and can be reached.`,
      instance_id: id,
      state: record.state,
      healthy: record.state !== "error" && record.state !== "terminated" && health.state === "healthy",
      health_score: record.health_score,
      health,
      checks,
    });
  });

  app.get("/instances/:id/events", async (c) => {
    const id = c.req.param("id");
    const call = c.get("call");
    const from = c.req.header("last-event-id") ?? c.req.query("after") ?? "0";
    const known = await dispatch(call, "get_instance_status", { instance_id: id });
    if (!known.success) return json(known);
    // A first look, so that what is wrong is said as an error and not as a stream.
    const first = await call.instance(id).follow(from, 0);
    if (!first.ok) return json(errorBody(first.error));
    return eventStream(from, async (cursor) => {
      const { events, resting, ...page } = unwrap(await call.instance(id).follow(cursor, PULL_MS));
      // An idle instance is not kept awake for readers.
      return { events, cursor: page.cursor, end: resting && events.length === 0 };
    });
  });

  app.get("/instances/:id/files", async (c) => {
    const { limit, recursive, ...query } = c.req.query();
    const input = {
      ...query,
      instance_id: c.req.param("id"),
      ...(limit === undefined ? {} : { limit: wholeNumber(limit) }),
      ...(recursive === undefined ? {} : { recursive: flag(recursive) }),
    };
    return json(await dispatch(c.get("call"), "list_instance_files", input));
  });

  app.route("/", createFiles());
  app.route("/", createTemplates());

  app.get("/tree", async (c) => {
    const { depth, limit, terminated, ...query } = c.req.query();
    const input = {
      ...query,
      ...(limit === undefined ? {} : { limit: wholeNumber(limit) }),
      ...(depth === undefined ? {} : { depth: wholeNumber(depth) }),
      ...(terminated === undefined ? {} : { terminated: flag(terminated) }),
    };
    return json(await dispatch(c.get("call"), "get_instance_tree", input));
  });

  app.get("/questions", async (c) => {
    const questions = await c.get("call").orchestrator.questions({ limit: MAX_QUESTIONS });
    return json({ success: true, message: `${questions.length} open questions.`, questions });
  });

  app.post("/questions/:id", limited, async (c) => {
    const input = { ...(await bodyOf(c.req.raw)), question_id: c.req.param("id") };
    return json(await dispatch(c.get("call"), "answer_question", input));
  });

  app.route("/", createJobs());
  app.route("/", createAudit());
  app.route("/", createWebhooks());

  app.get("/events", async (c) => {
    const { orchestrator } = c.get("call");
    const accept = c.req.header("accept") ?? "";
    if (accept.includes("application/json") && !accept.includes("text/event-stream"))
      return c.json(await pastEvents(orchestrator, c.req.query()));
    const from = c.req.header("last-event-id") ?? c.req.query("after") ?? "0";
    const instance = c.req.query("instance_id") ?? null;
    if (!/^\d{1,15}$/.test(from))
      throw new MadroxError(
        "invalid_input",
        "That is no event id of this stream: leave it out, or take the id of an event that it sent.",
      );
    if (instance !== null && !isInstanceId(instance) && !isJobId(instance))
      throw new MadroxError("invalid_input", "instance_id is no id of an instance or a job.");
    return eventStream(from, async (cursor) => {
      const page = await orchestrator.events({
        after: Number(cursor),
        instance_id: instance,
        limit: 500,
        waitMs: PULL_MS,
      });
      return {
        events: page.events.map((event) => ({ id: String(event.seq), event: event.kind, data: event })),
        cursor: String(page.events.at(-1)?.seq ?? cursor),
      };
    });
  });

  app.route("/", createSpend());
  app.route("/", createLive());

  return app;
}

/** A page of the event log, newest first, for who reads and does not follow. */
async function pastEvents(orchestrator: OrchestratorApi, query: Record<string, string>) {
  const parsed = PastEvents.safeParse(query);
  if (!parsed.success) {
    throw new MadroxError(
      "invalid_input",
      "A page of the event log takes before (the seq of an event), limit (1 to 500) and instance_id.",
      { field: parsed.error.issues[0]?.path.join(".") ?? "query" },
    );
  }
  const { before = null, limit, instance_id = null } = parsed.data;
  const { events, last_seq } = await orchestrator.eventsBefore({ before, limit, instance_id });
  return { success: true, message: `${events.length} events.`, events, last_seq };
}

const PastEvents = z.strictObject({
  before: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(200),
  instance_id: z.string().refine(isInstanceId).optional(),
});

/** Open questions in one answer, at most: the oldest. */
const MAX_QUESTIONS = 500;
