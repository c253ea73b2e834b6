/**
 * The simulator of the Messages API as its own tests set it up, with the real SDK before it.
 */
import Anthropic from "@anthropic-ai/sdk";
import {
  createSimulator,
  type Script,
  type Simulator,
  type SimulatorOptions,
} from "../../src/anthropic/simulator/simulator.ts";

export type Message = Anthropic.MessageParam;

type Body = Anthropic.MessageCreateParamsNonStreaming;

export const NOW = Date.parse("2026-11-22T12:00:00Z");

export const HEADERS = { "x-api-key": "k", "anthropic-version": "2026-10-21", "content-type": "application/json" };

export const hello: Body = {
  model: "claude-sonnet-5-5",
  max_tokens: 1000,
  messages: [{ role: "user", content: "Hello" }],
};

export const tool: Anthropic.Tool = {
  name: "read",
  description: "Reads a file",
  input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
};

export function setUp(options: SimulatorOptions = {}) {
  const sim = createSimulator({ clock: () => NOW, journalLimit: 100, ...options });
  return { sim, client: clientOf(sim) };
}

export function clientOf(sim: Simulator): Anthropic {
  return new Anthropic({ apiKey: "x", maxRetries: 0, fetch: (url, init) => sim.handle(new Request(url, init)) });
}

export function scripted(...scripts: Script[]) {
  return setUp({ script: ({ n }) => scripts[n - 1] });
}

export function post(sim: Simulator, body: unknown, headers: Record<string, string> = {}, path = "/v1/messages") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return sim.handle(
    new Request(`https://api.example${path}`, { method: "POST", headers: { ...HEADERS, ...headers }, body: text }),
  );
}

export async function caught(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Follows a stream to its bad end. The SDK keeps no snapshot of a stream that ends without `message_stop`. */
export async function followed(stream: ReturnType<Anthropic["messages"]["stream"]>) {
  const events: Anthropic.MessageStreamEvent[] = [];
  stream.on("streamEvent", (event: Anthropic.MessageStreamEvent) => events.push(event));
  return { error: await caught(stream.finalMessage()), events };
}

export const blocksIn = (message: Message | undefined) => (message?.content ?? []) as Anthropic.ContentBlock[];

export const textOf = (message: Anthropic.Message) =>
  message.content.map((b) => (b.type === "text" ? b.text : "")).join("");
