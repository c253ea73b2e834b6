/**
 * The Worker's HTTP interface, made from the table of routes: each route behind its access rule, `405` with `Allow` for every
 * other method of its path, `404` for every other path, and failures as JSON. Nothing outside the table is answered.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { accessConfigOf } from "../auth/access-config.ts";
import { hasCredentials } from "../auth/authenticate.ts";
import { challenge } from "../auth/oauth.ts";
import { configOf } from "../config/config.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import { SCOPES } from "../contracts/scopes.ts";
import { MadroxError } from "../platform/errors.ts";
import { createLog, describe } from "../platform/log.ts";
import { INSTANCE_TOOLS } from "../tools/own/index.ts";
import { admit } from "./admission.ts";
import { contextOf } from "./context.ts";
import type { HonoEnv } from "./hono-env.ts";
import { errorResponse } from "./json.ts";
import { MADROX_MCP_SERVER } from "./mcp/definition.ts";
import type { McpServerDefinition } from "./mcp/endpoint.ts";
import { assertHost, assertOrigin, isAllowedOrigin } from "./origin-check.ts";
import { nameOf, type Route, type Service } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { withoutAgentHeaders, withSecurityHeaders, withSocketKey } from "./security-headers.ts";
import { isPercentEncodedUtf8 } from "./utf8.ts";

/** `instanceTools` are the tools that instances may have, `mcp` is what MCP clients find. */
export function createApp(
  instanceTools: readonly InstanceTool[] = INSTANCE_TOOLS,
  mcp: McpServerDefinition = MADROX_MCP_SERVER,
): ExportedHandler<Env> {
  const app = appOf({ routes: ROUTES, instanceTools, mcp });
  return {
    async fetch(request, env, ctx) {
      const response = await app.fetch(withSocketKey(withoutAgentHeaders(request as unknown as Request)), env, ctx);
      return withSecurityHeaders(response, new URL(request.url));
    },
  };
}

function appOf(service: Service): Hono<HonoEnv> {
  const app = new Hono<HonoEnv>();
  app.use((c, next) => (c.req.method === "OPTIONS" ? next() : crossOrigin([])(c, next)));
  app.use(async (c, next) => {
    c.set("config", configOf(c.env));
    c.set("access", accessConfigOf(c.env));
    await next();
  });

  for (const [path, routes] of mostLiteralFirst(service.routes)) {
    const allow = routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    for (const route of routes) app.on(route.method, path, (c) => answer(route, c, service));
    app.options(path, (c, next) => {
      assertKnownOrigin(c);
      c.header("allow", allow.join(", "));
      return crossOrigin(allow)(c, next);
    });
    app.all(path, (c) => {
      assertKnownOrigin(c);
      const message = `${c.req.path.slice(0, 200)} takes ${allow.join(", ")}.`;
      throw new MadroxError("method_not_allowed", message, { allow });
    });
  }

  app.notFound((c) => {
    assertKnownOrigin(c);
    const path = c.req.path.slice(0, 200);
    throw new MadroxError("not_found", `There is nothing at ${path}. GET /tools lists what can be done.`);
  });
  app.onError(refusal);
  return app;
}

/** A request to a route, from its admission to its answer. */
async function answer(route: Route, c: Context<HonoEnv>, service: Service): Promise<Response> {
  const { env } = c;
  const request = c.req.raw;
  const access = c.get("access");
  const principal = await admit(request, env, access, route.access);
  const url = new URL(request.url);
  if (!isPercentEncodedUtf8(url.search)) {
    throw new MadroxError("invalid_input", "The query is not percent-encoded UTF-8.", { field: "query" });
  }
  const query = route.query.read(url.searchParams, nameOf(route));
  return route.handle({
    request,
    url,
    env,
    execution: () => c.executionCtx as ExecutionContext,
    config: c.get("config"),
    access,
    service,
    params: c.req.param(),
    query,
    body: await route.body?.read(request, nameOf(route)),
    context: principal && contextOf(env, service.instanceTools, { principal, signal: request.signal, request }),
  });
}

/** What a page of another origin may read of an answer, and, asked in advance, may send. */
function crossOrigin(allowMethods: string[]): MiddlewareHandler<HonoEnv> {
  return cors({
    origin: (origin, c) => (isAllowedOrigin(origin, new URL(c.req.url), accessConfigOf(c.env as Env)) ? origin : null),
    allowMethods,
    exposeHeaders: ["WWW-Authenticate", "Retry-After", "ETag", "Content-Range", "Accept-Ranges", "Mcp-Session-Id"],
    maxAge: 86_400,
  });
}

/** For requests that reach no route. Throws what any route would. */
function assertKnownOrigin(c: Context<HonoEnv>): void {
  assertOrigin(c.req.raw, c.get("access"));
  assertHost(c.req.raw, c.get("access"));
}

/** The routes by path, in an order in which the first path that fits a request is the most literal one. */
function mostLiteralFirst(routes: readonly Route[]): [path: string, routes: Route[]][] {
  const byPath = Map.groupBy(routes, ({ path }) => path);
  /** Characters that order segments: literal ones before named ones before the rest of a path. */
  const rank = (path: string) =>
    path.replace(/[^/]+/g, (part) => (part === "*" ? "2" : part.startsWith(":") ? "1" : "0"));
  return [...byPath].sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1));
}

/** A failure as the answer to its request, with the headers that its code calls for. */
function refusal(error: Error, c: Context<HonoEnv>): Response {
  const response = errorResponse(error);
  if (!(error instanceof MadroxError)) {
    createLog("INFO").error("request.failed", { path: c.req.path.slice(0, 200), error: describe(error) });
    return response;
  }
  const { retry_after_seconds, required_scope, allow } = error.details ?? {};
  if (retry_after_seconds !== undefined) response.headers.set("retry-after", String(retry_after_seconds));
  if (error.code === "method_not_allowed" && Array.isArray(allow)) response.headers.set("allow", allow.join(", "));
  const access = c.get("access");
  if (access?.accessKeys && (response.status === 401 || required_scope !== undefined)) {
    const missing = SCOPES.filter((scope) => scope === required_scope);
    const problem = missing.length > 0 ? "insufficient_scope" : hasCredentials(c.req.raw) ? "invalid_token" : null;
    response.headers.set("www-authenticate", challenge(new URL(c.req.url), access, problem, missing));
  }
  return response;
}
