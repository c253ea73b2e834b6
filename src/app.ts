/**
 * The front door: who may come in, and which door a request is for. Made once a Worker; `instanceTools` are the tools
 * that its instances may have.
 */
import { Hono } from "hono";
import { configOf } from "./config.ts";
import { assertLocal } from "./doors/guard.ts";
import { serveMcp } from "./doors/mcp.ts";
import { createRest, errorResponse, type RestEnv } from "./doors/rest.ts";
import { MadroxError } from "./errors.ts";
import type { InstanceTool } from "./instance/tool.ts";
import { createLog, describe } from "./log.ts";
import { INSTANCE_TOOLS } from "./tools/own/index.ts";

export function createApp(instanceTools: readonly InstanceTool[] = INSTANCE_TOOLS): ExportedHandler<Env> {
  const app = new Hono<RestEnv>();

  app.use(async (c, next) => {
    const config = configOf(c.env);
    assertLocal(c.req.raw, config.allowedHosts);
    c.set("config", config);
    await next();
  });

  const mcp = (request: Request, env: Env, ctx: ExecutionContext) =>
    serveMcp(request, env, ctx, configOf(env), instanceTools);

  app.on(["POST", "OPTIONS"], "/mcp", (c) => mcp(c.req.raw, c.env, c.executionCtx as ExecutionContext));
  app.post("/", (c) => {
    const url = new URL(c.req.url);
    url.pathname = "/mcp";
    return mcp(new Request(url, c.req.raw), c.env, c.executionCtx as ExecutionContext);
  });
  app.route("/", createRest(instanceTools));

  app.notFound((c) => {
    const route = c.req.path
      .replace(/^(\/instances\/)[^/]+/, "$1:id")
      .replace(/(\/files\/).+/, "$1:path")
      .replace(/^(\/questions\/)[^/]+/, "$1:id");
    const allowed = METHODS[route];
    if (allowed && !allowed.includes(c.req.method)) {
      const error = new MadroxError("method_not_allowed", `${c.req.path} takes ${allowed.join(", ")}.`, {
        allow: allowed,
      });
      const response = errorResponse(error);
      response.headers.set("allow", allowed.join(", "));
      return response;
    }
    return errorResponse(
      new MadroxError(
        "not_found",
        `There is nothing at ${c.req.path.slice(0, 200)}. GET /tools lists what can be done.`,
      ),
    );
  });

  app.onError((error, c) => {
    if (!(error instanceof MadroxError)) {
      createLog("INFO").error("request.failed", { path: c.req.path.slice(0, 200), error: describe(error) });
    }
    const response = errorResponse(error);
    return response;
  });

  return {
    fetch: (request, env, ctx) => app.fetch(request as unknown as Request, env, ctx) as unknown as Promise<Response>,
  };
}

/** What each route takes, for a 405 that says so. */
const METHODS: Record<string, readonly string[]> = {
  "/": ["POST"],
  "/mcp": ["POST"],
  "/health": ["GET"],
  "/metrics": ["GET"],
  "/tools": ["GET"],
  "/tools/execute": ["POST"],
  "/instances": ["GET"],
  "/instances/:id": ["GET", "DELETE"],
  "/instances/:id/health": ["POST"],
  "/instances/:id/events": ["GET"],
  "/instances/:id/files": ["GET"],
  "/instances/:id/files/:path": ["GET", "PUT", "DELETE"],
  "/instances/:id/workspace.zip": ["GET"],
  "/events": ["GET"],
  "/questions": ["GET"],
  "/questions/:id": ["POST"],
  "/tree": ["GET"],
};
