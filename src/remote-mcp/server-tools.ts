/** The tools of a remote MCP server: listed once, at spawn, and frozen with the instance. */
import type { Client } from "@modelcontextprotocol/client";
import * as z from "zod";
import type { Config } from "../contracts/config.ts";
import type { OwnToolDefinition, RemoteServer } from "../contracts/instance-spec.ts";
import { MadroxError } from "../platform/errors.ts";
import { connected, failureOf } from "./connection.ts";
import { addressProblem } from "./public-address.ts";
import { inputSchema, toolDescription, toolName } from "./remote-schema.ts";

/** How long a server may take to list its tools. */
const LIST_TIMEOUT_MS = 10_000;
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
  inputSchema: z.unknown().optional(),
  annotations: z
    .looseObject({ readOnlyHint: z.boolean().optional(), idempotentHint: z.boolean().optional() })
    .optional()
    .catch(undefined),
});
type Offered = z.output<typeof Offer>;
const ToolPage = z.looseObject({ tools: z.array(z.unknown()), nextCursor: z.string().optional().catch(undefined) });

/** What a server offers; `null` stands for a tool without a name to call it by. */
async function offeredBy(client: Client, signal: AbortSignal): Promise<(Offered | null)[]> {
  const offered: (Offered | null)[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = cursor === undefined ? {} : { cursor };
    const listed = await client.request({ method: "tools/list", params }, ToolPage, {
      signal,
      timeout: LIST_TIMEOUT_MS,
    });
    offered.push(...listed.tools.map((tool) => Offer.safeParse(tool).data ?? null));
    cursor = listed.nextCursor;
    if (cursor === undefined) break;
  }
  return offered;
}

/** Which of the tools on offer an instance gets, and as what. */
function chosen(request: ServerRequest, listing: readonly (Offered | null)[]): ListedServer {
  const offered = listing.filter((tool) => tool !== null);
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
  if (offered.length < listing.length) listed.left.push({ tool: "(unnamed)", reason: "it has no name" });
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
    listed.server.tools.push({
      name,
      remote_name: tool.name,
      repeatable,
      ...(hints?.readOnlyHint === true ? { read_only: true } : {}),
    });
    listed.definitions.push({
      name,
      description: toolDescription(request.name, tool.description),
      input_schema: schema,
    });
  }
  return listed;
}
