/**
 * The REST door as tests use it.
 */
import { exports } from "cloudflare:workers";

export type Json = Record<string, unknown> & { success: boolean; message: string };

export const ORIGIN = "http://localhost";

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(new Request(ORIGIN + path, init));
}

/** Runs a tool over REST and returns its answer. */
export async function tool(
  name: string,
  input: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<Json> {
  const response = await request("/tools/execute", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ tool: name, arguments: input }),
  });
  return (await response.json()) as Json;
}

/** Spawns an instance and returns its id. */
export async function spawn(input: Record<string, unknown> = {}): Promise<string> {
  const answer = await tool("spawn_claude", { name: "Ada", ...input });
  if (!answer.success) throw new Error(answer.message);
  return String(answer.instance_id);
}

export async function send(instanceId: string, message: string, input: Record<string, unknown> = {}): Promise<Json> {
  return tool("send_to_instance", { instance_id: instanceId, message, ...input });
}

export interface Output {
  message_index: number;
  message_id: string;
  type: string;
  content: string;
  timestamp: string;
  tokens_used: number;
  cost: number;
}

export async function output(instanceId: string): Promise<Output[]> {
  const answer = await tool("get_instance_output", { instance_id: instanceId, limit: 1000 });
  return answer.output as Output[];
}

export async function status(instanceId: string): Promise<Record<string, unknown>> {
  const answer = await tool("get_instance_status", { instance_id: instanceId });
  return answer.status as Record<string, unknown>;
}

/** Asks until it holds. The condition is an event of the system under test; the pauses only keep the loop from spinning. */
export async function until<T>(ask: () => Promise<T | undefined | false>, withinMs = 20_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > deadline) throw new Error("It did not come to hold in time.");
    await new Promise((done) => setTimeout(done, 20));
  }
}
