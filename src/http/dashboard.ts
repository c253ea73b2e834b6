/**
 * The dashboard's page. Every address below /dashboard is the same page, which finds out itself what to show; its scripts,
 * styles and fonts come from /dashboard/assets without this Worker. The page brings no data: it asks the REST API for it.
 */
import { MadroxError } from "../platform/errors.ts";
import { ANY_QUERY } from "./query.ts";
import { defineRoute, type Route, type RouteCall } from "./route.ts";

/** Nothing but what was built into the page: no inline script or style, nothing from elsewhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

async function page({ env }: Pick<RouteCall, "env">): Promise<Response> {
  const built = await env.ASSETS?.fetch("https://assets/");
  if (!built?.ok) {
    throw new MadroxError("not_found", "The dashboard is not part of this deployment: `vite build` makes its page.");
  }
  return new Response(built.body, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-cache",
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
  });
}

/** The page reads the query itself. */
export const DASHBOARD_ROUTES: readonly Route[] = ["/dashboard", "/dashboard/*"].map((path) =>
  defineRoute({ method: "GET", path, access: "anyone", query: ANY_QUERY, operation: null, handle: page }),
);
