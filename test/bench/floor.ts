/**
 * The least that the same stack can do: what the product's times are divided by. Nothing here checks, logs or recovers.
 */

import { DurableObject } from "cloudflare:workers";
import { BaseAnthropic } from "@anthropic-ai/sdk/client";
import { Messages } from "@anthropic-ai/sdk/resources/messages";
import { McpServer } from "@modelcontextprotocol/server";
import { createMcpHandler } from "agents/mcp/server";
import * as z from "zod";
import { ALIASES } from "../../src/anthropic/models.ts";
import type { Report } from "../../src/contracts/instance-spec.ts";
import type { OrchestratorApi } from "../../src/contracts/orchestrator.ts";
import type { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { repeat } from "./registry.ts";

export { Orchestrator } from "../../src/orchestrator/orchestrator.ts";

interface FloorEnv {
  ORCHESTRATOR: DurableObjectNamespace<Orchestrator>;
  BARE: DurableObjectNamespace<Bare>;
  ANTHROPIC_API_KEY: string;
  ANTHROPIC_BASE_URL: string;
}

/** One table and nothing else. */
export class Bare extends DurableObject<FloorEnv> {
  constructor(ctx: DurableObjectState, env: FloorEnv) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
  }

  async read(): Promise<{ notes: number; last: string | null }> {
    const [row] = this.ctx.storage.sql
      .exec<{ id: number; text: string }>("SELECT id, text FROM note ORDER BY id DESC LIMIT 1")
      .toArray();
    return { notes: row?.id ?? 0, last: row?.text ?? null };
  }

  async insert(text: string): Promise<{ id: number }> {
    const { id } = this.ctx.storage.sql
      .exec<{ id: number }>("INSERT INTO note (text) VALUES (?) RETURNING id", text)
      .one();
    return { id };
  }

  /** A model call between two rows: what a turn can't do without. */
  async turn(text: string): Promise<string> {
    await this.insert(text);
    const answer = await turn(this.env, text);
    await this.insert(answer);
    return answer;
  }
}

/** Two tools that are called, and more until as many are listed as the product has. */
function createServer(env: FloorEnv, toolCount: number): McpServer {
  const server = new McpServer({ name: "floor", version: "1" }, { capabilities: { tools: { listChanged: false } } });
  const answer = (result: object) => ({ content: [{ type: "text" as const, text: JSON.stringify(result) }] });
  server.registerTool(
    "read",
    { description: "One call of an object, one row read.", inputSchema: z.object({ name: z.string() }) },
    async ({ name }) => answer(await env.BARE.getByName(name).read()),
  );
  server.registerTool(
    "insert",
    {
      description: "One call of an object, one row written.",
      inputSchema: z.object({ name: z.string(), text: z.string() }),
    },
    async ({ name, text }) => answer(await env.BARE.getByName(name).insert(text)),
  );
  for (let n = 2; n < toolCount; n++) {
    server.registerTool(
      `filler_${n}`,
      { description: "Is only listed.", inputSchema: z.object({ name: z.string(), limit: z.number().optional() }) },
      async () => answer({}),
    );
  }
  return server;
}

class MessagesClient extends BaseAnthropic {
  readonly messages: Messages = new Messages(this);
}

let client: MessagesClient | undefined;

/** The same model call with the same SDK, and nothing around it, piece by piece, after so many messages. */
async function* pieces(env: FloorEnv, text: string, history = 0): AsyncGenerator<string> {
  client ??= new MessagesClient({
    apiKey: env.ANTHROPIC_API_KEY,
    baseURL: env.ANTHROPIC_BASE_URL,
    maxRetries: 0,
    openTelemetry: false,
    logLevel: "off",
    fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init),
  });
  const stream = await client.messages.create({
    model: ALIASES.sonnet,
    max_tokens: 16_000,
    messages: [...said(history), { role: "user", content: text }],
    stream: true,
  });
  for await (const event of stream) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") yield event.delta.text;
  }
}

async function turn(env: FloorEnv, text: string, history = 0): Promise<string> {
  let answer = "";
  for await (const piece of pieces(env, text, history)) answer += piece;
  return answer;
}

/** The answer as it comes. */
function streamed(env: FloorEnv, text: string): Response {
  const answer = pieces(env, text);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await answer.next();
      if (done) controller.close();
      else controller.enqueue(new TextEncoder().encode(value));
    },
  });
  return new Response(body);
}

/** A conversation of so many messages, an even number. */
function said(messages: number): { role: "user" | "assistant"; content: string }[] {
  return Array.from({ length: messages }, (_, i) =>
    i % 2 === 0
      ? { role: "user" as const, content: `message ${i / 2}` }
      : { role: "assistant" as const, content: "Done." },
  );
}

/** Reports under way at once. */
const REPORTS_AT_ONCE = 32;

/** What `instances` instances with `events` events each tell the product's own Orchestrator in one second: a report each. */
async function traffic(env: FloorEnv, second: number, instances: number, events: number): Promise<void> {
  const orchestrator = env.ORCHESTRATOR.getByName("traffic") as unknown as OrchestratorApi;
  while (reporting.length < instances) {
    const spawned = await orchestrator.spawn({
      tenant: "traffic",
      name: "reporter",
      role: "general",
      model: ALIASES.sonnet,
      effort: null,
      max_tokens: 1_000,
      system: "",
      tools: [],
      parent_instance_id: null,
      initial_prompt: null,
      limits: {},
    });
    if (!spawned.ok) throw new Error(spawned.error.message);
    reporting.push(spawned.value.instance_id);
  }
  const queue = reporting.map((id) => reportOf(id, second, events));
  const worker = async () => {
    for (let report = queue.pop(); report; report = queue.pop()) await orchestrator.report(report);
  };
  await Promise.all(Array.from({ length: REPORTS_AT_ONCE }, worker));
}

const reporting: string[] = [];

function reportOf(instance_id: string, second: number, count: number): Report {
  const at = Date.now();
  const seq = second * count;
  const events = Array.from({ length: count }, (_, i) => ({
    seq: seq + i + 1,
    at,
    kind: i % 2 === 0 ? "tool.finished" : "message.queued",
    data: { message_id: `msg_${seq + i}`, tool: "lookup", is_error: false },
  }));
  return {
    instance_id,
    seq: seq + count,
    questions: [],
    events,
    snapshot: {
      state: "busy",
      waiting_for: null,
      queue_depth: 1,
      completed_count: second,
      error_count: 0,
      request_count: second,
      response_ms_total: second,
      tokens: { input: second, output: second, cache_read: second, cache_write: second },
      last_activity: at,
      error_message: null,
      simulated: false,
      unhealthy: null,
    },
  };
}

export default {
  async fetch(request: Request, env: FloorEnv, ctx: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/traffic") {
      await traffic(
        env,
        Number(searchParams.get("second")),
        Number(searchParams.get("instances")),
        Number(searchParams.get("events")),
      );
      return new Response("ok");
    }
    if (pathname === "/registry") {
      const tenant = searchParams.get("tenant") ?? "";
      const orchestrator = env.ORCHESTRATOR.getByName(tenant) as unknown as OrchestratorApi;
      const [count, atOnce] = [Number(searchParams.get("count")), Number(searchParams.get("at_once"))];
      await repeat(searchParams.get("operation") ?? "", { tenant, orchestrator }, count, atOnce);
      return new Response("ok");
    }
    if (pathname === "/fan-out") {
      const text = await request.text();
      const objects = Array.from({ length: Number(searchParams.get("objects")) }, (_, i) =>
        env.BARE.getByName(`fan-out ${i}`),
      );
      const answers = await Promise.all(objects.map((object) => object.turn(text)));
      return new Response(`${answers.length} answers`);
    }
    if (pathname === "/turn") {
      const history = Number(searchParams.get("history") ?? 0);
      return new Response(await turn(env, await request.text(), history));
    }
    if (pathname === "/stream") return streamed(env, await request.text());
    if (pathname !== "/mcp") return new Response("ok");
    const handler = createMcpHandler(() => createServer(env, Number(searchParams.get("tools"))), {
      responseMode: "sse",
    });
    return handler(request, env, ctx);
  },
};
