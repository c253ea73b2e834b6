/**
 * The MCP endpoint (streamable HTTP), for clients of revision 2026-07-28 and of the 2025 ones alike. Each request gets a
 * stateless server of its own; a definition says what that server has.
 */
import { type Implementation, Server, type ServerOptions } from "@modelcontextprotocol/server";
import { createMcpHandler } from "agents/mcp/server";
import { countCalls } from "../../auth/rate-limits.ts";
import type { Config } from "../../contracts/config.ts";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { Principal } from "../../contracts/principal.ts";
import { ERROR_STATUS, MadroxError } from "../../platform/errors.ts";
import { createLog, describe } from "../../platform/log.ts";
import { VERSION } from "../../platform/version.ts";
import { type CallContext, type CallOptions, contextOf } from "../context.ts";
import { assertUtf8, MAX_JSON_BYTES, mediaTypeOf, readJsonOf } from "../request-body.ts";
import { APPS, supportsApps, withSession } from "./app.ts";

function serverInfo(origin: string): Implementation {
  const icons = [{ src: `${origin}/favicon.svg`, mimeType: "image/svg+xml", sizes: ["any"] }];
  return { name: "madrox", title: "Madrox", version: VERSION, icons };
}

/** How often a silent stream gets a comment, so that a client that has gone is noticed. */
const KEEP_ALIVE_MS = 5_000;

/** Messages in a batch, at most. Only revision 2025-03-26 has batches. */
const MAX_BATCH = 100;

/** What MCP clients find: capabilities, and the handlers behind them. The product's is in definition.ts. */
export interface McpServerDefinition {
  options: ServerOptions;
  /** Gives the server of one request its handlers. */
  serve(server: Server, context: McpRequestContext): void;
}

/** What the handlers of one request know of it. */
export interface McpRequestContext {
  /** Which family of revisions the client speaks: those of 2025, or that of 2026-07-28. */
  era: "legacy" | "modern";
  env: Env;
  /** Whether the client shows MCP Apps. */
  apps: boolean;
  /** What a handler runs tools with. */
  contextFor(signal: AbortSignal, more?: Pick<CallOptions, "progress" | "traceparent">): CallContext;
}

/** What one request to the MCP server is answered with. */
export interface McpCall {
  env: Env;
  config: Config;
  principal: Principal;
  instanceTools: readonly InstanceTool[];
  definition: McpServerDefinition;
  /** The model of spawns over this connection that name none; null: the deployment's. */
  defaultModel: string | null;
}

export async function serveMcp(
  request: Request,
  { env, config, principal, instanceTools, definition, defaultModel }: McpCall,
): Promise<Response> {
  const url = new URL(request.url);
  const log = createLog(config.logLevel);
  // The handler's 2025 lane reads at most 4 MiB, whatever the option says: it gets the body as it was parsed here.
  const body = await parsed(request);
  if (body instanceof Response) return body;
  await countBatch(body.parsedBody, principal, env);
  const apps = env.ASSETS !== undefined && supportsApps(request, body.parsedBody);

  const createServer = ({ era }: { era: McpRequestContext["era"] }) => {
    const server = new Server(serverInfo(url.origin), definition.options);
    if (apps)
      server.registerCapabilities({ extensions: { ...definition.options.capabilities?.extensions, [APPS]: {} } });
    const contextFor: McpRequestContext["contextFor"] = (signal, more) =>
      contextOf(env, instanceTools, { principal, request, signal, defaultModel, ...more });
    definition.serve(server, { era, env, apps, contextFor });
    return server;
  };

  // Host and Origin are validated before any route (origin-check.ts), so whatever they are, the handler may take them.
  const origin = request.headers.get("origin");
  const handler = createMcpHandler(createServer, {
    responseMode: "sse",
    keepAliveMs: KEEP_ALIVE_MS,
    maxRequestBodySize: MAX_JSON_BYTES,
    corsOptions: false,
    allowedHostnames: [url.hostname],
    allowedOriginHostnames: origin === null ? [] : [new URL(origin).hostname],
    onerror: (error: Error) => log.debug("mcp.refused", { error: describe(error) }),
  });
  const response = await handler.fetch(request, body);
  return apps ? withSession(response, body.parsedBody) : response;
}

/** Counts the messages of a batch as calls: the first was counted with the request. Throws `limit_reached`, before any of them runs. */
async function countBatch(body: unknown, principal: Principal, env: Env): Promise<void> {
  if (!Array.isArray(body)) return;
  if (body.length > MAX_BATCH) {
    throw new MadroxError("too_large", `A batch has at most ${MAX_BATCH} messages.`, { limit: MAX_BATCH });
  }
  await countCalls(principal, env.KEY_RATE, body.length - 1);
}

/** The request's body as JSON, or the JSON-RPC error that answers it. */
async function parsed(request: Request): Promise<{ parsedBody?: unknown } | Response> {
  if (mediaTypeOf(request) !== "application/json") return {};
  const refuse = (status: number, code: number, message: string) =>
    Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
  try {
    assertUtf8(request);
    return { parsedBody: await readJsonOf(request) };
  } catch (error) {
    if (error instanceof SyntaxError) return refuse(400, -32700, "Parse error: the body is no valid JSON.");
    if (!(error instanceof MadroxError)) throw error;
    const status = ERROR_STATUS[error.code];
    return refuse(status, status === 400 ? -32600 : -32000, error.message);
  }
}
