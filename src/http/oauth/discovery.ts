/** How a client finds the login (RFC 9728, RFC 8414) and makes itself known (RFC 7591). */
import { resourceMetadata } from "../../auth/oauth.ts";
import { countOpenCall } from "../../auth/rate-limits.ts";
import { boundedBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";
import { MAX_FORM_BYTES, originFor, respond, withoutReason } from "./server.ts";

const resources = ["", "/mcp"].map((resource) =>
  defineRoute({
    method: "GET",
    path: `/.well-known/oauth-protected-resource${resource}`,
    access: "anyone",
    operation: null,
    handle(call) {
      const origin = originFor(call);
      return Response.json(resourceMetadata(origin, `${origin}${resource || "/"}`));
    },
  }),
);

const server = defineRoute({
  method: "GET",
  path: "/.well-known/oauth-authorization-server",
  access: "anyone",
  operation: null,
  handle: (call) => respond(call),
});

const register = defineRoute({
  method: "POST",
  path: "/oauth/register",
  access: "anyone",
  body: boundedBody("application/json", MAX_FORM_BYTES),
  operation: null,
  async handle(call) {
    await countOpenCall(call.request, call.env.LOGIN_RATE);
    return withoutReason(await respond(call, call.body));
  },
});

export const DISCOVERY_ROUTES: readonly Route[] = [...resources, server, register];
