/**
 * The front door: what is looked at, who may come in, and which door a request is for. Made once a Worker; `instanceTools`
 * are the tools that its instances may have, `offer` is what MCP clients find.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { accessOf } from "../auth/access.ts";
import { authenticate, bringsKey } from "../auth/authenticate.ts";
import { challenge } from "../auth/oauth.ts";
import { type Access, type Method, methodsAt, ROUTES, type Rules } from "../auth/rules.ts";
import { configOf } from "../config/config.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import type { Principal } from "../contracts/principal.ts";
import { assertScope, SCOPES } from "../contracts/scopes.ts";
import { MadroxError } from "../platform/errors.ts";
import { createLog, describe } from "../platform/log.ts";
import { INSTANCE_TOOLS } from "../tools/own/index.ts";
import type { RestEnv } from "./hono-env.ts";
import { errorResponse } from "./json.ts";
import { type Offer, serveMcp } from "./mcp/mcp.ts";
import { MADROX } from "./mcp/offer.ts";
import { createOAuth } from "./oauth/routes.ts";
import { createDescription } from "./openapi/routes.ts";
import { assertOrigin, assertPeer, isAllowedOrigin, peerProblem } from "./origin-check.ts";
import { createDashboard } from "./rest/dashboard.ts";
import { createRest } from "./rest/rest.ts";
import { secured, stripped, withSocketKey } from "./security-headers.ts";

export function createApp(
  instanceTools: readonly InstanceTool[] = INSTANCE_TOOLS,
  offer: Offer = MADROX,
): ExportedHandler<Env> {
  const app = createRoutes(instanceTools, offer);
  return {
    async fetch(request, env, ctx) {
      const response = await app.fetch(withSocketKey(stripped(request as unknown as Request)), env, ctx);
      return secured(response, new URL(request.url));
    },
  };
}

/** Every route, behind the rules for it. */
export function createRoutes(instanceTools: readonly InstanceTool[], offer: Offer): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.use(
    cors({
      origin: (origin, c) => (isAllowedOrigin(origin, new URL(c.req.url), accessOf(c.env as Env)) ? origin : null),
      allowMethods: ["GET", "POST", "PUT", "DELETE"],
      exposeHeaders: ["WWW-Authenticate", "Retry-After", "ETag", "Content-Range", "Accept-Ranges", "Mcp-Session-Id"],
      maxAge: 86_400,
    }),
  );
  app.use(async (c, next) => {
    c.set("config", configOf(c.env));
    c.set("access", accessOf(c.env));
    await next();
  });
  for (const [path, methods] of Object.entries<Rules>(ROUTES)) {
    for (const [method, rule] of Object.entries(methods) as [Method, Access][]) app.on(method, path, admit(rule));
  }
  app.use(async (c, next) => {
    if (c.get("admitted")) return next();
    assertOrigin(c.req.raw, c.get("access"));
    assertPeer(c.req.raw, c.get("access"));
    return c.notFound();
  });

  const mcp = (c: Context<RestEnv>, request: Request) =>
    serveMcp(request, c.env, c.get("config"), caller(c.get("principal")), instanceTools, offer);
  app.post("/mcp", (c) => mcp(c, c.req.raw));
  app.post("/", (c) => {
    const url = new URL(c.req.url);
    url.pathname = "/mcp";
    return mcp(c, new Request(url, c.req.raw));
  });
  app.route("/", createDescription());
  app.route("/", createOAuth());
  app.route("/", createDashboard());
  app.route("/", createRest(instanceTools));

  app.notFound((c) => {
    const allow = methodsAt(c.req.path)?.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : method));
    if (!allow) {
      return errorResponse(
        new MadroxError(
          "not_found",
          `There is nothing at ${c.req.path.slice(0, 200)}. GET /tools lists what can be done.`,
        ),
      );
    }
    const response = errorResponse(
      new MadroxError("method_not_allowed", `${c.req.path} takes ${allow.join(", ")}.`, { allow }),
    );
    response.headers.set("allow", allow.join(", "));
    return response;
  });

  app.onError((error, c) => {
    const response = errorResponse(error);
    if (!(error instanceof MadroxError)) {
      createLog("INFO").error("request.failed", { path: c.req.path.slice(0, 200), error: describe(error) });
      return response;
    }
    const { retry_after_seconds, required_scope } = error.details ?? {};
    if (retry_after_seconds !== undefined) response.headers.set("retry-after", String(retry_after_seconds));
    const access = c.get("access");
    if (access?.accessKeys && (response.status === 401 || required_scope !== undefined)) {
      const missing = SCOPES.filter((scope) => scope === required_scope);
      const problem = missing.length > 0 ? "insufficient_scope" : bringsKey(c.req.raw) ? "invalid_token" : null;
      response.headers.set("www-authenticate", challenge(new URL(c.req.url), access, problem, missing));
    }
    return response;
  });

  return app;
}

/** Lets in whom the route's rule lets in, as who they are. */
function admit(rule: Access): MiddlewareHandler<RestEnv> {
  return async (c, next) => {
    const access = c.get("access");
    const request = c.req.raw;
    c.set("admitted", true);
    assertOrigin(request, access);
    if (rule === "optional" && !bringsKey(request) && (access.accessKeys !== null || peerProblem(request, access)))
      return next();
    assertPeer(request, access);
    if (rule === "anyone") return next();
    // A path can fall under two rules: then both have to let it in.
    const principal = c.get("principal") ?? (await authenticate(request, c.env, access));
    c.set("principal", principal);
    if (rule !== "optional" && rule !== "caller") assertScope(principal.scopes, rule);
    return next();
  };
}

function caller(principal: Principal | undefined): Principal {
  if (principal) return principal;
  throw new Error("The rule of this route lets in callers without a key.");
}
