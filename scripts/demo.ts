/**
 * `npm run demo`: three specialists plan a task-management app. Starts a server of its own, talks to it over MCP as any
 * client would, shows each answer as it is written, and says what it took. Without ANTHROPIC_API_KEY the simulator answers.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { MadroxServer } from "./local-server.ts";

interface Specialist {
  name: string;
  role: string;
  task: (before: string) => string;
}

const TEAM: readonly Specialist[] = [
  {
    name: "Architect",
    role: "architect",
    task: () =>
      "Sketch a small task-management app: users, projects, tasks with due dates. Name its parts and the data model.",
  },
  {
    name: "Backend",
    role: "backend_developer",
    task: (before) => `Design the REST API for this task-management app.\n\nThe architect's sketch:\n${before}`,
  },
  {
    name: "Tester",
    role: "testing_specialist",
    task: (before) => `Write the test plan for this task-management app.\n\nThe API:\n${before}`,
  },
];

const dim = (text: string) => (process.stdout.isTTY ? `\x1b[2m${text}\x1b[0m` : text);
const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);

/** Calls a tool and returns its answer. Throws when it failed. */
async function call(client: Client, name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const result = await client.callTool({ name, arguments: input });
  const answer = result.structuredContent as Record<string, unknown>;
  if (result.isError) throw new Error(`${name}: ${String(answer.message)}`);
  return answer;
}

/** Prints an instance's answer to a message as it is written, from the server's live stream, and returns it. */
async function watch(url: string, instanceId: string, messageId: string): Promise<string> {
  let answer = "";
  let after = "0";
  for (;;) {
    const stream = await fetch(`${url}/instances/${instanceId}/events?after=${after}`);
    if (!stream.ok || !stream.body) throw new Error(`The live stream answers ${stream.status}.`);
    let rest = "";
    for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
      const frames = (rest + chunk).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const field = (name: string) => frame.match(new RegExp(`^${name}: (.*)$`, "m"))?.[1];
        after = field("id") ?? after;
        const data = JSON.parse(field("data") ?? "{}") as Record<string, unknown>;
        if (data.message_id !== messageId) continue;
        if (field("event") === "restart") answer = "";
        if (field("event") === "text") {
          answer += String(data.text);
          process.stdout.write(String(data.text));
        }
        if (data.kind === "message.completed") return answer;
        if (data.kind === "message.failed" || data.kind === "message.refused")
          throw new Error(`The message ended: ${String(data.error)}.`);
      }
    }
  }
}

async function main(): Promise<void> {
  const server = new MadroxServer({ env: { SIMULATOR_CHUNK_DELAY_MS: "10", LOG_LEVEL: "WARNING" } });
  const bye = () => void server.stop().finally(() => process.exit(130));
  process.once("SIGINT", bye).once("SIGTERM", bye);
  console.log("Starting a server ...");
  await server.start();
  try {
    const client = new Client({ name: "madrox-demo", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)));
    const { tools } = await client.listTools();
    console.log(`Connected over MCP to ${server.url}/mcp: ${tools.map((tool) => tool.name).join(", ")}.`);
    console.log(
      process.env.ANTHROPIC_API_KEY
        ? "Claude answers."
        : "No ANTHROPIC_API_KEY: the simulator answers, nothing is spent.",
    );

    const team = await Promise.all(
      TEAM.map(async (specialist) => {
        const spawned = await call(client, "spawn_claude", { name: specialist.name, role: specialist.role });
        return { ...specialist, id: String(spawned.instance_id), ms: 0 };
      }),
    );
    let before = "";
    for (const specialist of team) {
      const message = specialist.task(before);
      console.log(`\n${bold(`to ${specialist.name}`)} ${dim(message.split("\n")[0] ?? "")}\n`);
      const started = Date.now();
      const sent = await call(client, "send_to_instance", {
        instance_id: specialist.id,
        message,
        wait_for_response: false,
      });
      before = await watch(server.url, specialist.id, String(sent.message_id));
      specialist.ms = Date.now() - started;
      console.log();
    }

    const rows = await Promise.all(
      team.map(async ({ id, ms }) => {
        const { status } = (await call(client, "get_instance_status", { instance_id: id })) as {
          status: Record<string, unknown>;
        };
        const tokens = status.tokens as Record<string, number>;
        return {
          name: status.name,
          model: status.model,
          "fresh tokens": status.total_tokens_used,
          "from cache": tokens.cache_read,
          "cost (USD)": Number(status.total_cost).toFixed(6),
          "time (s)": (ms / 1000).toFixed(2),
        };
      }),
    );
    console.log();
    console.table(rows);
    if (!process.env.ANTHROPIC_API_KEY)
      console.log("Tokens and cost are simulated: what this would have cost at today's list prices.");
    for (const { id } of team) await call(client, "terminate_instance", { instance_id: id });
    await client.close();
  } finally {
    await server.stop();
  }
}

await main();
