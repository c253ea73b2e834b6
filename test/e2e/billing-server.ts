/**
 * A Messages API in a process of its own that bills: it reads what it sends, and adds it up with price arithmetic of its own.
 * It fails often, decided by a seed and by what it is asked, so that a run does not depend on the order of things.
 *
 * `node billing-server.ts <seed>` prints its address. Beside the API: `GET /bill` (a Bill), `POST /hold` (from now on no answer
 * ends) and `POST /release`.
 */
import { serve } from "../../scripts/node-server.ts";
import { createSimulator, type Script, type ScriptCall } from "../../src/anthropic/simulator/simulator.ts";

/** Money in nano-USD. */
export interface Bill {
  calls: number;
  /** For the answers that reached message_stop. */
  settled: number;
  /** For everything that was sent, also what broke off. */
  billed: number;
  /** Answers that are being sent, by the newest text that they answer; empty for one to tool results. */
  open: string[];
  /** How often each thing went wrong. */
  faults: Record<string, number>;
}

/** Its prices: nano-USD per token, as on the official page of November 2026, for prompts below every band. */
const RATES: Record<string, { input: number; output: number; write: number; read: number }> = {
  "claude-sonnet-5-5": { input: 2_000, output: 10_000, write: 2_500, read: 100 },
  "claude-haiku-5-5": { input: 100, output: 500, write: 125, read: 10 },
};

/** A message that begins so gets an answer that never ends. */
const ENDLESS = "Go on for ever.";
/** Between the pings of an answer that is held, in ms. */
const PING_MS = 200;

const seed = Number(process.argv[2] ?? "1");
const bill = { calls: 0, settled: 0, billed: 0, faults: {} as Record<string, number> };
const open = new Map<object, string>();
let holding = false;

/** 0 to 1, the same for the same text. */
function chance(text: string): number {
  let hash = seed | 0;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 12)) >>> 0) / 2 ** 32;
}

/** What is asked for: the newest line, behind those of messages that were stopped. */
const newest = (text: string) => text.split("\n").at(-1) ?? "";

function faultOf(call: ScriptCall): Script["fault"] {
  const luck = chance(`fault ${call.lastUserText} ${call.step}`);
  const afterChars = Math.floor(chance(`where ${call.lastUserText} ${call.step}`) * 60);
  if (call.attempt > 1 || luck > 0.18) return undefined;
  if (luck < 0.01) return { kind: "stall", afterChars };
  if (luck < 0.05) return { kind: "eof", afterChars };
  if (luck < 0.09) return { kind: "reset", afterChars };
  if (luck < 0.12) return { kind: "error_event", type: "api_error", message: "Internal", afterChars };
  if (luck < 0.15) return { kind: "status", status: 500, type: "api_error", message: "Internal" };
  if (luck < 0.16) return { kind: "status", status: 529, type: "overloaded_error", message: "Overloaded" };
  return { kind: "status", status: 429, type: "rate_limit_error", message: "Slower", retryAfterSeconds: 0 };
}

function script(call: ScriptCall): Script {
  if (newest(call.lastUserText).startsWith(ENDLESS)) {
    return { fault: { kind: "stall", afterChars: 20, pings: true, pingMs: PING_MS } };
  }
  const fault = faultOf(call);
  const kind = fault?.kind === "status" ? String(fault.status) : fault?.kind;
  if (kind) bill.faults[kind] = (bill.faults[kind] ?? 0) + 1;
  const text = `Answer ${call.step} to ${newest(call.lastUserText)}. ${"More of it. ".repeat(8)}`;
  const blocks: Script["blocks"] =
    call.toolResults.length === 0 || chance(`again ${call.lastUserText} ${call.step}`) < 0.5
      ? [
          { type: "text", text },
          { type: "tool_use", name: "lookup", input: { value: text } },
        ]
      : [{ type: "text", text }];
  return { blocks, chunkDelayMs: 2, chunkChars: 20, ...(fault ? { fault } : {}) };
}

interface Event {
  type: string;
  message?: { usage: Usage };
  usage?: Usage;
}
interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens?: number;
  cache_read_input_tokens?: number;
}

function priceOf(model: string, usage: Usage): number {
  const rate = RATES[model];
  if (!rate) throw new Error(`no price for ${model}`);
  const { cache_creation_input_tokens: written = 0, cache_read_input_tokens: read = 0 } = usage;
  return usage.input_tokens * rate.input + usage.output_tokens * rate.output + written * rate.write + read * rate.read;
}

const PING = new TextEncoder().encode(`event: ping\ndata: {"type":"ping"}\n\n`);

/** The same stream, read on its way. What was sent before it broke off is billed too: the prompt, and a token for each delta. */
function read(body: ReadableStream<Uint8Array>, model: string, about: string): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const call = {};
  open.set(call, about);
  let usage: Usage = { input_tokens: 0, output_tokens: 0 };
  let gone = false;
  const end = (stopped: boolean) => {
    if (!open.delete(call)) return;
    const price = priceOf(model, usage);
    bill.billed += price;
    if (stopped) bill.settled += price;
  };
  return new ReadableStream({
    async pull(controller) {
      const piece = await reader.read().catch((error: unknown) => {
        end(false);
        throw error;
      });
      if (gone) return;
      if (piece.done) {
        end(false);
        controller.close();
        return;
      }
      const events = [...decoder.decode(piece.value).matchAll(/^data: (.*)$/gm)].map(
        ([, data]) => JSON.parse(data ?? "") as Event,
      );
      const stops = events.some((event) => event.type === "message_stop");
      while (stops && holding) {
        controller.enqueue(PING);
        await new Promise((done) => setTimeout(done, PING_MS));
        if (gone) return;
      }
      for (const event of events) {
        if (event.type === "content_block_delta") usage = { ...usage, output_tokens: usage.output_tokens + 1 };
        usage = { ...usage, ...event.message?.usage, ...event.usage };
      }
      if (stops) end(true);
      controller.enqueue(piece.value);
    },
    cancel() {
      gone = true;
      end(false);
      return reader.cancel();
    },
  });
}

const simulator = createSimulator({ script });

const server = await serve(async (request) => {
  const path = new URL(request.url).pathname;
  if (path === "/hold" || path === "/release") {
    holding = path === "/hold";
    return new Response();
  }
  if (path === "/bill") return Response.json({ ...bill, open: [...open.values()] } satisfies Bill);
  bill.calls += 1;
  const asked = (await request.clone().json()) as { model: string; messages: { content: { text?: string }[] }[] };
  const response = await simulator.handle(request);
  if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
  const about = asked.messages.at(-1)?.content.at(-1)?.text ?? "";
  return new Response(read(response.body, asked.model, about), response);
});
console.log(server.url);
