/** The addresses of the MCP server: `/mcp`, and `/` for clients that were given the bare origin. */
import * as z from "zod";
import { query } from "../query.ts";
import { unreadBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";
import { serveMcp } from "./endpoint.ts";

/** JSON-RPC has failures of its own, so the MCP server reads its body itself. */
const body = unreadBody(
  "application/json",
  { type: "object", additionalProperties: true, description: "A JSON-RPC 2.0 message of MCP" },
  ["too_large", "unsupported_media_type"],
);

export const MCP_ROUTES: readonly Route[] = ["/mcp", "/"].map((path) =>
  defineRoute({
    method: "POST",
    path,
    access: "caller",
    query: query({ model: z.string().optional().describe("The default model of this connection") }),
    body,
    operation:
      path === "/mcp"
        ? {
            id: "mcp",
            tag: "server",
            summary: "The MCP endpoint (streamable HTTP)",
            success: { type: "text/event-stream", schema: () => ({ type: "string" }) },
          }
        : null,
    handle({ request, url, env, config, context, service, query: { model = null } }) {
      const there = new URL(url);
      there.pathname = "/mcp";
      return serveMcp(path === "/mcp" ? request : new Request(there, request), {
        env,
        config,
        principal: context.principal,
        instanceTools: service.instanceTools,
        definition: service.mcp,
        defaultModel: model,
      });
    },
  }),
);
