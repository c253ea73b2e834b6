/** The server's health, its figures, and a person's sign-in. */
import { auditOf } from "../../contracts/audited-call.ts";
import { prometheus } from "../../orchestrator/registry/metrics.ts";
import { VERSION } from "../../platform/version.ts";
import { json } from "../json.ts";
import { defineRoute, type Route } from "../route.ts";

const health = defineRoute({
  method: "GET",
  path: "/health",
  access: "optional",
  operation: {
    id: "health",
    tag: "server",
    summary: "Whether the server is alive; with a key, also its figures",
    success: {
      schema: () => ({
        type: "object",
        properties: { success: { type: "boolean" }, status: { type: "string" }, version: { type: "string" } },
        required: ["success", "status", "version"],
        additionalProperties: true,
      }),
    },
  },
  async handle({ context }) {
    const alive = { success: true, status: "healthy", version: VERSION };
    if (!context) return Response.json(alive);
    const page = await context.orchestrator.list({ limit: 1 });
    return Response.json({
      ...alive,
      simulated: context.config.anthropicApiKey === null,
      total_instances: page.total_instances,
      active_instances: page.active_instances,
      metrics: await context.orchestrator.metrics(),
    });
  },
});

const metrics = defineRoute({
  method: "GET",
  path: "/metrics",
  access: "read",
  operation: {
    id: "metrics",
    tag: "server",
    summary: "Figures for Prometheus",
    success: { type: "text/plain", schema: () => ({ type: "string" }) },
  },
  async handle({ context }) {
    return new Response(prometheus(await context.orchestrator.metrics()), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    });
  },
});

const signIn = defineRoute({
  method: "POST",
  path: "/sign-in",
  access: "caller",
  operation: {
    id: "signIn",
    tag: "server",
    summary: "Puts a person's sign-in on record; says whose key it is and what it may do",
  },
  async handle({ context: { orchestrator, principal } }) {
    const { tenant, keyId, scopes } = principal;
    await orchestrator.record({ ...auditOf(principal, "sign_in"), scopes: scopes.join(" ") }, null, "ok");
    return json({ success: true, message: `Signed in to ${tenant}.`, tenant, key_id: keyId, scopes });
  },
});

export const SERVER_ROUTES: readonly Route[] = [health, metrics, signIn];
