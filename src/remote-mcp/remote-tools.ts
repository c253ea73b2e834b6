/**
 * Calls of remote tools. A call connects from the instance, so that it is this side that bounds it, logs it, and knows whether
 * it may be made again.
 */

import type { Config } from "../contracts/config.ts";
import type { InstanceSpec, OwnToolDefinition, RemoteServer, RemoteTool } from "../contracts/instance-spec.ts";
import type { InstanceTool, InstanceToolContext, ToolResult } from "../contracts/instance-tool.ts";
import { POWERS, type Power } from "../contracts/powers.ts";
import { createLog } from "../platform/log.ts";
import { own } from "../platform/own.ts";
import { redacted, secretValues } from "../platform/redaction.ts";
import { connected, failureOf, isBroken } from "./connection.ts";
import { addressProblem } from "./public-address.ts";

/** How long a server may take to answer a call. */
const CALL_TIMEOUT_MS = 60_000;
const MAX_RESULT_CHARACTERS = 60_000;

/**
 * What a remote tool can do: whatever its server does with a call, so everything, unless the server says that it changes nothing. That
 * word can be taken: a server that lies about what it does with a call can do it with any other.
 */
export function remotePowers(tool: RemoteTool): readonly Power[] {
  return tool.read_only ? ["network"] : POWERS;
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
          powers: remotePowers(tool),
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
  const request = { name: server.name, url: server.url, token: own(secrets.tokens, server.name) ?? null };
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
      const text = bounded(redacted(textOf(result), secretValues(secrets)));
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

interface CallResult {
  content?: readonly { type: string }[] | undefined;
  structuredContent?: unknown;
  isError?: boolean | undefined;
}

/** A result as text: what is no text is named. */
function textOf({ content = [], structuredContent }: CallResult): string {
  const parts = content.map((block) => {
    const { type, text, mimeType, data, uri, resource } = block as Record<string, unknown> & { type: string };
    if (type === "text") return String(text);
    const held = (resource ?? {}) as Record<string, unknown>;
    if (type === "resource" && typeof held.text === "string") return `${String(held.uri)}:\n${held.text}`;
    if (type === "resource_link") return `[link: ${String(uri)}]`;
    const size = typeof data === "string" ? `, ${Math.floor((data.length * 3) / 4)} bytes` : "";
    return `[${type}${typeof mimeType === "string" ? ` ${mimeType}` : ""}${size}: not shown]`;
  });
  // By the protocol a text repeats it; many servers leave that out, or put a summary there.
  if (structuredContent !== undefined && !parts.some((part) => isJsonOf(part, structuredContent))) {
    parts.push(JSON.stringify(structuredContent));
  }
  return parts.join("\n").toWellFormed();
}

function bounded(text: string): string {
  if (text.length <= MAX_RESULT_CHARACTERS) return text;
  return `${text.slice(0, MAX_RESULT_CHARACTERS).toWellFormed()}\n[${text.length - MAX_RESULT_CHARACTERS} more characters were cut off.]`;
}

function isJsonOf(text: string, value: unknown): boolean {
  try {
    return JSON.stringify(JSON.parse(text)) === JSON.stringify(value);
  } catch {
    return false;
  }
}
