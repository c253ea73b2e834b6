/**
 * The MCP door: `/mcp` for clients of revision 2026-07-28 and of the 2025 ones alike. One stateless server a request;
 * tools come from the catalogue, checked and run by the same dispatcher as everywhere.
 */
import { type Implementation, Server, type ServerContext } from "@modelcontextprotocol/server";
import { createMcpHandler } from "agents/mcp/server";
import type { Principal } from "../auth/principal.ts";
import type { Config } from "../config.ts";
import type { InstanceTool } from "../instance/tool.ts";
import { createLog, describe } from "../log.ts";
import { execute, executeOrBegin } from "../tools/execute.ts";
import { isTask } from "../tools/tool.ts";
import { VERSION } from "../version.ts";
import { contextOf } from "./context.ts";
import { APPS, followsApps, withSession } from "./mcp-app.ts";
import { toolList } from "./mcp-listing.ts";
import { servePrompts } from "./mcp-prompts.ts";
import { serveResources } from "./mcp-resources.ts";
import { followsTasks, serveTasks, TASKS, taskResult, toolResult } from "./mcp-tasks.ts";

function serverInfo(origin: string): Implementation {
  const icons = [{ src: `${origin}/favicon.svg`, mimeType: "image/svg+xml", sizes: ["any"] }];
  return { name: "madrox", title: "Madrox", version: VERSION, icons };
}

/** In the context of every conversation that uses the server: under 2 KB. */
const INSTRUCTIONS = `Madrox runs many Claude instances for you. The pattern is: spawn_claude with a name and a role, send_to_instance with a message, read the answer.
- send_to_instance waits up to 50 s. If status is queued or working, nothing is lost: the work goes on; call wait with the message_id, as often as needed.
- To let several work at once, send to each with wait_for_response=false, then wait for all their message_ids.
- Instances remember their conversation, and have files of their own. Give each one job, and tell it everything it needs: it can't see your conversation.
- With parent_instance_id an instance belongs to another: it works within its limits and ends with it. broadcast_to_children talks to all of them.
- spawn_team starts a supervisor with specialists below it from a template; with task_description it begins at once.
- To have several work together on one task, call coordinate_instances, then wait with its task_id: the server asks each instance, and keeps what they deliver.
- An instance may ask you something: get_instance_status shows open questions, answer_question answers them.
- get_instance_output has everything that an instance received, said and did; list_instance_files and retrieve_instance_file what it made. get_instance_status shows who is busy and what it cost. terminate_instance what is no longer needed: active instances are limited.
- max_cost and max_total_tokens are checked before each model call. budget_exceeded: the work is paused, and set_limits lets it go on.
- With an idempotency_key, a repeated call has no second effect.`;

/** A message of 1 MiB may need six times that in JSON escapes; what is larger than this is refused unread. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Comments on a silent stream: they find out that a client has gone. */
const KEEP_ALIVE_MS = 5_000;

export async function serveMcp(
  request: Request,
  env: Env,
  config: Config,
  principal: Principal,
  instanceTools: readonly InstanceTool[],
): Promise<Response> {
  const url = new URL(request.url);
  const defaultModel = url.searchParams.get("model");
  const log = createLog(config.logLevel);
  // The handler's 2025 lane reads at most 4 MiB, whatever the option says: it gets the body as it was parsed here.
  const body = await parsed(request);
  if (body instanceof Response) return body;
  const apps = env.ASSETS !== undefined && followsApps(request, body.parsedBody);

  const createServer = ({ era }: { era: "legacy" | "modern" }) => {
    const server = new Server(serverInfo(url.origin), {
      instructions: INSTRUCTIONS,
      capabilities: {
        tools: { listChanged: false },
        resources: { listChanged: false },
        prompts: { listChanged: false },
        extensions: { [TASKS]: {}, ...(apps ? { [APPS]: {} } : {}) },
      },
    });
    const contextFor = (signal: AbortSignal) => contextOf(env, instanceTools, { principal, request, signal });
    if (era === "modern") serveTasks(server, contextFor);
    serveResources(server, env, contextFor, apps);
    servePrompts(server);
    server.setRequestHandler("tools/list", () => toolList(apps) as never);
    server.setRequestHandler("tools/call", async ({ params }, call) => {
      const context = contextOf(env, instanceTools, {
        principal,
        request,
        signal: call.mcpReq.signal,
        traceparent: params._meta?.traceparent ?? call.mcpReq._meta?.traceparent,
        defaultModel,
        progress: progressTo(call),
      });
      if (era === "modern" && followsTasks(call)) {
        const result = await executeOrBegin(context, params.name, params.arguments);
        return isTask(result) ? taskResult(result) : toolResult(result);
      }
      return toolResult(await execute(context, params.name, params.arguments));
    });
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

/** Progress notifications for a caller that asked for them; text for one that reads it. */
function progressTo(call: ServerContext): (message: string) => void {
  const token = call.mcpReq._meta?.progressToken;
  let progress = 0;
  return (message) => {
    if (token === undefined) return;
    progress += 1;
    // A client that has gone is noticed by its signal; there is nobody to tell.
    call.mcpReq
      .notify({ method: "notifications/progress", params: { progressToken: token, progress, message } })
      .catch(() => undefined);
  };
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
