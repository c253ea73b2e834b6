/**
 * Who may use which route: every route of every door, once. A route that is not here is not served, and a test holds this
 * table against what the doors serve.
 */
import type { Scope } from "../contracts/scopes.ts";

/**
 * - `anyone`: no key is looked at. For what has to be there before somebody has logged in.
 * - `optional`: served without a key; with one, it has to be right.
 * - `caller`: everyone with a key. The tool that is called asks for its own scope.
 * - a scope: everyone whose key has it.
 */
export type Access = "anyone" | "optional" | "caller" | Scope;
export type Rules = Readonly<Partial<Record<Method, Access>>>;
export type Method = "GET" | "POST" | "PUT" | "DELETE";

export const ROUTES = {
  "/": { POST: "caller" },
  "/mcp": { POST: "caller" },
  "/tools": { GET: "caller" },
  "/tools/execute": { POST: "caller" },
  "/tools/:name": { POST: "caller" },
  "/instances": { GET: "read" },
  "/instances/:id": { GET: "read", DELETE: "admin" },
  "/instances/:id/health": { POST: "read" },
  "/instances/:id/events": { GET: "read" },
  "/instances/:id/files": { GET: "read" },
  "/instances/:id/files/*": { GET: "read", PUT: "operate", DELETE: "operate" },
  "/instances/:id/workspace.zip": { GET: "read" },
  "/templates": { GET: "read", POST: "operate" },
  "/templates/:name": { GET: "read", DELETE: "operate" },
  "/jobs": { GET: "read", POST: "operate" },
  "/jobs/:id": { GET: "read", DELETE: "admin" },
  "/jobs/:id/cancel": { POST: "operate" },
  "/events": { GET: "read" },
  "/audit": { GET: "read" },
  "/audit/head": { GET: "read" },
  "/ledger": { GET: "read" },
  "/webhooks": { GET: "admin", POST: "admin" },
  "/webhooks/:id": { GET: "admin", DELETE: "admin" },
  "/tree": { GET: "read" },
  "/questions": { GET: "read" },
  "/questions/:id": { POST: "operate" },
  "/spend": { GET: "read" },
  "/live": { GET: "read" },
  "/metrics": { GET: "read" },
  "/sign-in": { POST: "caller" },
  "/health": { GET: "optional" },
  "/openapi.json": { GET: "anyone" },
  "/docs": { GET: "anyone" },
  "/favicon.ico": { GET: "anyone" },
  "/favicon.svg": { GET: "anyone" },
  "/dashboard": { GET: "anyone" },
  "/dashboard/*": { GET: "anyone" },
  "/.well-known/oauth-protected-resource": { GET: "anyone" },
  "/.well-known/oauth-protected-resource/mcp": { GET: "anyone" },
  "/.well-known/oauth-authorization-server": { GET: "anyone" },
  "/oauth/register": { POST: "anyone" },
  "/oauth/token": { POST: "anyone" },
  "/authorize": { GET: "anyone", POST: "anyone" },
} as const satisfies Readonly<Record<string, Rules>>;

export type RoutePath = keyof typeof ROUTES;

/** The rules of a route; undefined where there is none. */
export function rulesOf(route: string): Rules | undefined {
  return Object.hasOwn(ROUTES, route) ? ROUTES[route as RoutePath] : undefined;
}

/** The methods that the route of this path takes; undefined where there is none. */
export function methodsAt(path: string): Method[] | undefined {
  const route = path
    .replace(/^(\/(?:instances|questions|jobs|webhooks)\/)[^/]+/, "$1:id")
    .replace(/^(\/(?:templates|tools)\/)[^/]+$/, "$1:name")
    .replace(/(\/files\/).+/, "$1*")
    .replace(/^(\/dashboard\/).+/, "$1*");
  const methods = rulesOf(path) ?? rulesOf(route);
  return methods && (Object.keys(methods) as Method[]);
}
