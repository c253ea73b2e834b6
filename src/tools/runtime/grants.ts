/**
 * What a spawn may give an instance beside the tools of this server: web tools, remote servers, environment variables.
 */
import * as z from "zod";
import type { ServerToolDefinition } from "../../contracts/instance-spec.ts";
import { MadroxError } from "../../platform/errors.ts";
import type { Secrets } from "../../platform/secrets.ts";
import { type ListedServer, listServer } from "../../remote-mcp/server-tools.ts";
import { DEFAULT_USES, isWebTool, WEB_TOOLS, webTool } from "../../remote-mcp/web-tools.ts";
import { text } from "./fields.ts";
import type { ToolContext } from "./tool.ts";

const MAX_SERVERS = 10;
const MAX_VARIABLES = 100;
/** Of all environment variables together, in characters. */
const MAX_ENVIRONMENT = 32_768;

const uses = z.int().min(0).max(50).optional();

export const web = z
  .strictObject({
    search_max_uses: uses.describe("Searches in one model call, at most; gives it web_search"),
    fetch_max_uses: uses.describe("Pages in one model call, at most; gives it web_fetch"),
  })
  .optional()
  .describe(
    `Web tools of the Messages API. Naming web_search or web_fetch in tools gives them too, with ${DEFAULT_USES} uses. They make its caps soft`,
  );

export const mcpServers = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(/^[a-zA-Z0-9-]([a-zA-Z0-9-]|_(?!_)){0,23}$/, "must be 1 to 24 letters, digits, - or single _")
        .describe("Its tools are called <name>__<tool>"),
      url: z.string().describe("Its address, https"),
      authorization_token: text()
        .min(1)
        .max(10_000)
        .optional()
        .describe("Sent as a Bearer token; kept encrypted, never shown"),
      allowed_tools: z.array(z.string().max(200)).max(100).optional().describe("Only these of its tools"),
    }),
  )
  .max(MAX_SERVERS)
  .refine((servers) => new Set(servers.map(({ name }) => name)).size === servers.length, "names have to differ")
  .optional()
  .describe("Remote MCP servers whose tools it gets. They are listed now, and stay as they are");

export const environmentVars = z
  .record(z.string(), text())
  .refine(
    (variables) => Object.keys(variables).every((name) => /^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(name)),
    "names have letters, digits and _, and no digit in front",
  )
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, `has more than ${MAX_VARIABLES} variables`)
  .refine(
    (variables) =>
      Object.entries(variables).reduce((sum, [name, value]) => sum + name.length + value.length, 0) <= MAX_ENVIRONMENT,
    `has more than ${MAX_ENVIRONMENT} characters in all`,
  )
  .optional()
  .describe("Environment of its shell and programs, by name. Treated as secrets: kept encrypted, never shown");

export interface Asked {
  tools?: string | string[] | undefined;
  web?: z.output<typeof web>;
  mcp_servers?: z.output<typeof mcpServers>;
  environment_vars?: z.output<typeof environmentVars>;
}

/**
 * Only who spawns from outside gives these: an instance could send what it knows anywhere, and pass its caps.
 * Throws `forbidden`.
 */
export function assertMayGrant(context: ToolContext, input: Asked): void {
  if (context.principal.instance === null) return;
  const named = Array.isArray(input.tools) ? input.tools.filter(isWebTool) : [];
  const asked = [
    ...named,
    ...(["web", "mcp_servers", "environment_vars"] as const).filter((field) => input[field] !== undefined),
  ];
  if (asked.length === 0) return;
  throw new MadroxError(
    "forbidden",
    `Instances can't give ${asked.join(", ")} to others. Ask who spawned you for it.`,
    {
      fields: asked,
    },
  );
}

/** The web tools that a spawn asks for, in either way. */
export function webTools(input: Asked): ServerToolDefinition[] {
  const named = Array.isArray(input.tools) ? input.tools : [];
  const asked = { web_search: input.web?.search_max_uses, web_fetch: input.web?.fetch_max_uses };
  return WEB_TOOLS.flatMap((name) => {
    const count = asked[name] ?? (named.includes(name) ? DEFAULT_USES : 0);
    return count > 0 ? [webTool(name, count)] : [];
  });
}

/** The tools of the remote servers, as they are now. Throws for the first server that can't be used. */
export async function remoteServers(context: ToolContext, input: Asked): Promise<ListedServer[]> {
  assertMayGrant(context, input);
  const requests = (input.mcp_servers ?? []).map(({ name, url, authorization_token, allowed_tools }) => ({
    name,
    url,
    token: authorization_token ?? null,
    allowed: allowed_tools ?? null,
  }));
  return Promise.all(requests.map((request) => listServer(request, context.config, context.signal)));
}

export function secretsIn(input: Asked): Secrets {
  const tokens = (input.mcp_servers ?? []).flatMap(({ name, authorization_token: token }) =>
    token === undefined ? [] : [[name, token] as const],
  );
  return { environment: input.environment_vars ?? {}, tokens: Object.fromEntries(tokens) };
}
