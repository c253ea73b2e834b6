/**
 * Tools of remote MCP servers. They are listed once, at spawn, and frozen with the instance; a call connects from the
 * instance, so that it is this side that bounds it, logs it, and knows whether it may be made again. Both revisions of the
 * protocol are spoken: the newer one is tried first.
 */
// Not loaded on use: it shares zod with everything else, and the bundler then runs that too late.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import * as z from "zod";
import type { Config } from "../contracts/config.ts";
import type { InstanceSpec, OwnToolDefinition, RemoteServer, RemoteTool } from "../contracts/instance-spec.ts";
import type { InstanceTool, InstanceToolContext, ToolResult } from "../contracts/instance-tool.ts";
import { MadroxError } from "../platform/errors.ts";
import { createLog, describe } from "../platform/log.ts";
import { redacted, secretValues } from "../platform/redaction.ts";
import { VERSION } from "../platform/version.ts";
import { addressProblem } from "./public-address.ts";
import { inputSchema, toolDescription, toolName } from "./remote-schema.ts";

/** How long a server may take to list its tools, and to answer a call. */
const LIST_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 60_000;
/** Of all responses to one connection. A result that a model can read is far smaller. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;
const MAX_RESULT_CHARACTERS = 60_000;
const MAX_TOOLS = 64;
const MAX_PAGES = 20;

/** A remote server as a spawn names it. */
export interface ServerRequest {
  name: string;
  url: string;
  token: string | null;
  /** Only these of its tools; null: all. */
  allowed: readonly string[] | null;
}

export interface ListedServer {
  server: RemoteServer;
  definitions: OwnToolDefinition[];
  /** Tools that can't be used, each with the reason. */
  left: { tool: string; reason: string }[];
}

/** Asks a server for its tools. Throws `invalid_input` for its address, `upstream_error` for whatever it does wrong. */
export async function listServer(
  request: ServerRequest,
  config: Pick<Config, "allowPrivateMcp">,
  signal: AbortSignal,
): Promise<ListedServer> {
  const problem = addressProblem(request.url, config.allowPrivateMcp);
  if (problem !== null) {
    throw new MadroxError("invalid_input", `The MCP server ${request.name} can't be used: ${problem}.`, {
      field: "mcp_servers",
      server: request.name,
    });
  }
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(LIST_TIMEOUT_MS)]);
  try {
    return chosen(request, await connected(request, deadline, (client) => offeredBy(client, deadline)));
  } catch (error) {
    if (error instanceof MadroxError) throw error;
    const why = deadline.aborted ? `it did not answer within ${LIST_TIMEOUT_MS / 1000} s` : failureOf(error, request);
    throw new MadroxError("upstream_error", `The tools of the MCP server ${request.name} can't be listed: ${why}.`, {
      field: "mcp_servers",
      server: request.name,
    });
  }
}

/** A tool on offer, read so loosely that one that is malformed does not hide the others. */
const Offer = z.looseObject({
  name: z.string().min(1),
  description: z.string().optional().catch(undefined),
  inputSchema: z.unknown(),
  annotations: z
    .looseObject({ readOnlyHint: z.boolean().optional(), idempotentHint: z.boolean().optional() })
    .optional()
    .catch(undefined),
});
type Offered = z.output<typeof Offer>;
const ToolPage = z.looseObject({ tools: z.array(Offer), nextCursor: z.string().optional() });

async function offeredBy(client: Client, signal: AbortSignal): Promise<Offered[]> {
  const offered: Offered[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = cursor === undefined ? {} : { cursor };
    const listed = await client.request({ method: "tools/list", params }, ToolPage, {
      signal,
      timeout: LIST_TIMEOUT_MS,
    });
    offered.push(...listed.tools);
    cursor = listed.nextCursor;
    if (cursor === undefined) break;
  }
  return offered;
}

/** Which of the tools on offer an instance gets, and as what. */
function chosen(request: ServerRequest, offered: readonly Offered[]): ListedServer {
  const listed: ListedServer = {
    server: { name: request.name, url: request.url, tools: [] },
    definitions: [],
    left: [],
  };
  const wanted = offered.filter(({ name }) => request.allowed === null || request.allowed.includes(name));
  const missing = (request.allowed ?? []).filter((name) => !offered.some((tool) => tool.name === name));
  if (missing.length > 0) {
    throw new MadroxError(
      "invalid_input",
      `The MCP server ${request.name} has no ${missing.slice(0, 5).join(", ").slice(0, 200).toWellFormed()}, which allowed_tools names. It has: ${offered
        .slice(0, 50)
        .map(({ name }) => name)
        .join(", ")
        .slice(0, 2_000)
        .toWellFormed()}.`,
      { field: "mcp_servers", server: request.name },
    );
  }
  for (const tool of wanted) {
    const name = toolName(request.name, tool.name);
    const schema = inputSchema(tool.inputSchema);
    const reason =
      typeof schema === "string"
        ? schema
        : listed.definitions.some((known) => known.name === name)
          ? `another tool has its name (${name})`
          : listed.definitions.length >= MAX_TOOLS
            ? `only ${MAX_TOOLS} tools of a server are taken. Choose with allowed_tools`
            : null;
    if (reason !== null || typeof schema === "string") {
      listed.left.push({ tool: tool.name.slice(0, 100).toWellFormed(), reason: reason ?? "" });
      continue;
    }
    const hints = tool.annotations;
    const repeatable = hints?.readOnlyHint === true || hints?.idempotentHint === true;
    listed.server.tools.push({ name, remote_name: tool.name, repeatable });
    listed.definitions.push({
      name,
      description: toolDescription(request.name, tool.description),
      input_schema: schema,
    });
  }
  return listed;
}

/** The remote tools of an instance, as they were at its spawn. */
export function remoteTools(spec: InstanceSpec, config: Config): InstanceTool[] {
  return (spec.mcp_servers ?? []).flatMap((server) =>
    server.tools.flatMap((tool): InstanceTool[] => {
      const definition = spec.tools.find(({ name }) => name === tool.name);
      if (!definition || !("input_schema" in definition)) return [];
      return [
        {
          ...definition,
          preset: "full",
          repeatable: tool.repeatable,
          timeoutMs: CALL_TIMEOUT_MS + 10_000,
          run: (input, context) => callTool(server, tool, definition, input, context, config),
        },
      ];
    }),
  );
}

async function callTool(
  server: RemoteServer,
  tool: RemoteTool,
  definition: OwnToolDefinition,
  input: Record<string, unknown>,
  context: InstanceToolContext,
  config: Config,
): Promise<ToolResult> {
  const secrets = await context.secrets();
  const request = { name: server.name, url: server.url, token: secrets.tokens[server.name] ?? null };
  const problem = addressProblem(server.url, config.allowPrivateMcp);
  if (problem !== null) throw new Error(`The server ${server.name} can't be used: ${problem}.`);
  const log = createLog(config.logLevel, { tenant: context.tenant, instance_id: context.instanceId });
  const deadline = AbortSignal.any([context.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
  const started = Date.now();
  const progress = { sent: false };
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await connected(request, deadline, (client) => {
        progress.sent = true;
        return client.callTool(
          { name: tool.remote_name, arguments: input },
          {
            signal: deadline,
            timeout: CALL_TIMEOUT_MS,
            toolDefinition: {
              name: tool.remote_name,
              inputSchema: { ...definition.input_schema, type: "object" as const },
            },
          },
        );
      });
      log.info("remote_tool.called", {
        server: server.name,
        tool: tool.remote_name,
        attempt,
        ms: Date.now() - started,
      });
      const text = redacted(textOf(result), secretValues(secrets));
      return { content: text, isError: result.isError === true };
    } catch (error) {
      const why = deadline.aborted ? `it did not answer within ${CALL_TIMEOUT_MS / 1000} s` : failureOf(error, request);
      const said = redacted(why, secretValues(secrets));
      log.warning("remote_tool.failed", {
        server: server.name,
        tool: tool.remote_name,
        attempt,
        error: error instanceof Error ? error.name : "unknown",
      });
      const harmless = tool.repeatable || !progress.sent;
      if (harmless && attempt === 1 && !deadline.aborted && isBroken(error)) continue;
      const outcome =
        harmless || !isBroken(error) ? "" : " The call may or may not have taken effect: check before you repeat it.";
      return { content: `The server ${server.name} failed: ${said}.${outcome}`, isError: true };
    }
  }
}

/** A connection of its own for one piece of work. */
async function connected<T>(
  { url, token }: Pick<ServerRequest, "url" | "token">,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(
    { name: "madrox", version: VERSION },
    { capabilities: {}, versionNegotiation: { mode: "auto" }, inputRequired: { autoFulfill: false } },
  );
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: boundedFetch(signal),
    requestInit: { headers: token === null ? {} : { authorization: `Bearer ${token}` } },
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
    },
  });
  const stopped = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([client.connect(transport, { signal }).then(() => work(client)), stopped]);
  } finally {
    stopped.catch(() => undefined);
    await client.close().catch(() => undefined);
  }
}

class Refused extends Error {}

/** A fetch that goes nowhere else, and takes only so much. */
function boundedFetch(signal: AbortSignal): (url: string | URL, init?: RequestInit) => Promise<Response> {
  let left = MAX_RESPONSE_BYTES;
  return async (url, init) => {
    const own = init?.signal ? AbortSignal.any([init.signal, signal]) : signal;
    const response = await fetch(url, { ...init, redirect: "manual", signal: own });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      throw new Refused("it sends elsewhere (a redirect), which is not followed. Name the address itself");
    }
    if (!response.body) return response;
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          left -= chunk.byteLength;
          if (left < 0) controller.error(new Refused(`it answered with more than ${MAX_RESPONSE_BYTES} bytes`));
          else controller.enqueue(chunk);
        },
      }),
    );
    return new Response(counted, response);
  };
}

/** Whether the connection failed rather than the call: then nobody knows how far the server got. */
function isBroken(error: unknown): boolean {
  if (error instanceof Refused) return false;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  // Errors of the protocol carry the server's own code, a number.
  return typeof code !== "number";
}

/** What went wrong, as the end of a sentence; never the token. */
function failureOf(error: unknown, { token }: Pick<ServerRequest, "token">): string {
  const cause = error instanceof Error && error.cause instanceof Refused ? error.cause : error;
  const said = describe(cause).replace(/\.$/, "").slice(0, 1_000).toWellFormed();
  return token === null ? said : said.replaceAll(token, "[token]");
}

interface Result {
  content?: readonly { type: string }[] | undefined;
  structuredContent?: unknown;
  isError?: boolean | undefined;
}

/** A result as text: what is no text is named. */
function textOf({ content = [], structuredContent }: Result): string {
  const parts = content.map((block) => {
    const { type, text, mimeType, data, uri, resource } = block as Record<string, unknown> & { type: string };
    if (type === "text") return String(text);
    const held = (resource ?? {}) as Record<string, unknown>;
    if (type === "resource" && typeof held.text === "string") return `${String(held.uri)}:\n${held.text}`;
    if (type === "resource_link") return `[link: ${String(uri)}]`;
    const size = typeof data === "string" ? `, ${Math.floor((data.length * 3) / 4)} bytes` : "";
    return `[${type}${typeof mimeType === "string" ? ` ${mimeType}` : ""}${size}: not shown]`;
  });
  if (parts.length === 0 && structuredContent !== undefined) parts.push(JSON.stringify(structuredContent));
  const text = parts.join("\n").toWellFormed();
  if (text.length <= MAX_RESULT_CHARACTERS) return text;
  return `${text.slice(0, MAX_RESULT_CHARACTERS).toWellFormed()}\n[${text.length - MAX_RESULT_CHARACTERS} more characters were cut off.]`;
}
