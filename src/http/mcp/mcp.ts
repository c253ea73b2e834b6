/**
 * The MCP door: `/mcp` for clients of revision 2026-07-28 and of the 2025 ones alike. One stateless server a request; what
 * it has for its clients is passed in.
 */
import { type Implementation, Server, type ServerOptions } from "@modelcontextprotocol/server";
import { createMcpHandler } from "agents/mcp/server";
import type { Config } from "../../contracts/config.ts";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { Principal } from "../../contracts/principal.ts";
import { createLog, describe } from "../../platform/log.ts";
import { VERSION } from "../../platform/version.ts";
import { type CallContext, type CallOptions, contextOf } from "../context.ts";
import { APPS, followsApps, withSession } from "./app.ts";

function serverInfo(origin: string): Implementation {
  const icons = [{ src: `${origin}/favicon.svg`, mimeType: "image/svg+xml", sizes: ["any"] }];
  return { name: "madrox", title: "Madrox", version: VERSION, icons };
}

/** A message of 1 MiB may need six times that in JSON escapes; what is larger than this is refused unread. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Comments on a silent stream: they find out that a client has gone. */
const KEEP_ALIVE_MS = 5_000;

/** What is served at the door: the product's is `MADROX`, in mcp-offer.ts. */
export interface Offer {
  options: ServerOptions;
  /** Gives the server of one request its handlers. */
  serve(server: Server, visit: Visit): void;
}

/** One request, for the handlers that answer it. */
export interface Visit {
  /** Which family of revisions the client speaks: those of 2025, or that of 2026-07-28. */
  era: "legacy" | "modern";
  env: Env;
  /** Whether the client shows MCP Apps. */
  apps: boolean;
  /** What a handler hands to the catalogue. */
  contextFor(signal: AbortSignal, more?: Pick<CallOptions, "progress" | "traceparent">): CallContext;
}

export async function serveMcp(
  request: Request,
  env: Env,
  config: Config,
  principal: Principal,
  instanceTools: readonly InstanceTool[],
  offer: Offer,
): Promise<Response> {
  const url = new URL(request.url);
  const defaultModel = url.searchParams.get("model");
  const log = createLog(config.logLevel);
  // The handler's 2025 lane reads at most 4 MiB, whatever the option says: it gets the body as it was parsed here.
  const body = await parsed(request);
  if (body instanceof Response) return body;
  const apps = env.ASSETS !== undefined && followsApps(request, body.parsedBody);

  const createServer = ({ era }: { era: Visit["era"] }) => {
    const server = new Server(serverInfo(url.origin), offer.options);
    if (apps) server.registerCapabilities({ extensions: { ...offer.options.capabilities?.extensions, [APPS]: {} } });
    const contextFor: Visit["contextFor"] = (signal, more) =>
      contextOf(env, instanceTools, { principal, request, signal, defaultModel, ...more });
    offer.serve(server, { era, env, apps, contextFor });
    return server;
  };

  // The guard has already checked the Host and the Origin: the handler is told that these are right.
  const origin = request.headers.get("origin");
  const handler = createMcpHandler(createServer, {
    responseMode: "sse",
    keepAliveMs: KEEP_ALIVE_MS,
    maxRequestBodySize: MAX_BODY_BYTES,
    corsOptions: false,
    allowedHostnames: [url.hostname],
    allowedOriginHostnames: origin === null ? [] : [new URL(origin).hostname],
    onerror: (error: Error) => log.debug("mcp.refused", { error: describe(error) }),
  });
  const response = await handler.fetch(request, body);
  return apps ? withSession(response, body.parsedBody) : response;
}

/** The body of a POST, or the refusal of it. */
async function parsed(request: Request): Promise<{ parsedBody?: unknown } | Response> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (request.method !== "POST" || type !== "application/json") return {};
  const refuse = (status: number, code: number, message: string) =>
    Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
  const tooLarge = () => refuse(413, -32000, `The request is larger than ${MAX_BODY_BYTES} bytes.`);
  if (Number(request.headers.get("content-length")) > MAX_BODY_BYTES) return tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += (chunk as Uint8Array).byteLength;
    if (size > MAX_BODY_BYTES) return tooLarge();
    chunks.push(chunk as Uint8Array);
  }
  try {
    return { parsedBody: JSON.parse(await new Blob(chunks).text()) as unknown };
  } catch {
    return refuse(400, -32700, "Parse error: the body is no valid JSON.");
  }
}
