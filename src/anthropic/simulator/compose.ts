/**
 * Makes a whole message out of the blocks that a script or the default reply asked for: ids, signatures, limits, usage.
 */
import type { Model } from "../models.ts";
import type { CacheUsage } from "./cache.ts";
import type { Prefix } from "./prefix.ts";
import type { Script, ScriptBlock } from "./script.ts";
import { signerAt } from "./signature.ts";
import { blockTokens, cutToTokens, textTokens } from "./tokens.ts";
import { isObject, type Json, type Reply, type StopReason, type WireUsage } from "./wire.ts";

/** What a reply is made for. */
export interface Request {
  readonly body: Json;
  readonly model: Model;
  readonly prefix: Prefix;
  readonly cached: CacheUsage;
  /** The message's id. */
  readonly id: string;
}

/** Whether the model thinks on this request. */
export function thinks(body: Json, model: Model): boolean {
  if (!isObject(body.thinking)) return model.thinking !== "optional";
  return body.thinking.type === "adaptive" || body.thinking.type === "enabled";
}

/** Builds the message, within `max_tokens` and the context window, up to the first stop sequence. */
export function compose(request: Request, wanted: readonly ScriptBlock[], script: Script): Reply {
  const { body, model, prefix } = request;
  const asked = typeof body.max_tokens === "number" ? body.max_tokens : model.maxOutput;
  const room = Math.max(0, model.contextWindow - prefix.tokens);
  const limit = Math.min(asked, room);
  const full: StopReason = room < asked ? "model_context_window_exceeded" : "max_tokens";
  const signer = signerAt(prefix, model);
  const content: Json[] = [];
  const inputText = new Map<number, string>();
  let left = limit;
  let thinking = 0;
  let stopReason: StopReason | null = limit === 0 ? full : null;
  let stopSequence: string | null = null;

  for (const block of limit === 0 ? [] : withThinking(wanted, script, thinks(body, model))) {
    if (stopReason !== null) break;
    let made = render(block, `${prefix.end.read()}${content.length}`);
    if (made.type === "text" || made.type === "thinking") {
      const key = made.type;
      const whole = String(made[key]);
      const end = made.type === "text" ? firstStop(whole, body.stop_sequences) : null;
      const text = end ? whole.slice(0, end.at) : whole;
      const cut = cutToTokens(text, left);
      if (cut.length < text.length) stopReason = full;
      else if (end) {
        stopReason = "stop_sequence";
        stopSequence = end.sequence;
      }
      if (cut === "" && made.type === "text") break;
      made = { ...made, [key]: cut };
      if (made.type === "thinking") {
        made.signature = signer.sign(cut);
        thinking += textTokens(cut);
      }
    } else if (blockTokens(made) > left) {
      if (left === 0) {
        stopReason = full;
        break;
      }
      inputText.set(content.length, cutToTokens(JSON.stringify(made.input ?? {}), left));
      stopReason = full;
      made = { ...made, input: {} };
    }
    const cost = inputText.has(content.length) ? left : blockTokens(made);
    left -= cost;
    signer.add(made);
    content.push(made);
  }

  const fault = breakInput(content, inputText, script);
  if (fault) stopReason = fault;
  const calls = content.some((block) => block.type === "tool_use");
  return {
    id: request.id,
    model: model.id,
    content,
    stopReason: stopReason ?? script.stopReason ?? (calls ? "tool_use" : "end_turn"),
    stopSequence,
    stopDetails: script.stopDetails ?? refusalDetails(stopReason ?? script.stopReason),
    usage: {
      ...usageOf(request.cached, limit === 0 ? 0 : Math.max(1, limit - left), thinking, content),
      ...script.usage,
    },
    inputText,
  };
}

function withThinking(wanted: readonly ScriptBlock[], script: Script, on: boolean): readonly ScriptBlock[] {
  if (!on || script.autoThinking === false || wanted.some((block) => block.type === "thinking")) return wanted;
  return [{ type: "thinking" }, ...wanted];
}

function render(block: ScriptBlock, seed: string): Json {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text, citations: null };
    case "thinking":
      return { type: "thinking", thinking: block.thinking ?? "", signature: "" };
    case "tool_use":
      // From the prompt and the place in the answer: no counter could stay unique across restarts of the simulator.
      return {
        type: "tool_use",
        id: block.id ?? `toolu_sim_${seed}`,
        name: block.name,
        input: block.input,
        caller: { type: "direct" },
      };
    case "raw":
      return block.block;
  }
}

function firstStop(text: string, sequences: unknown): { at: number; sequence: string } | null {
  let first: { at: number; sequence: string } | null = null;
  for (const sequence of Array.isArray(sequences) ? sequences.map(String) : []) {
    const at = text.indexOf(sequence);
    if (at >= 0 && (!first || at < first.at)) first = { at, sequence };
  }
  return first;
}

/** Applies the faults that lie in a tool's input; the stop reason they force, if any. */
function breakInput(content: Json[], inputText: Map<number, string>, script: Script): StopReason | null {
  if (script.fault?.kind === "malformed_tool_json") {
    const first = content.findIndex((block) => block.type === "tool_use");
    if (first >= 0) inputText.set(first, `${JSON.stringify(content[first]?.input).slice(0, -1)}, oops 12 3}`);
  }
  if (script.fault?.kind !== "cut_tool_input") return null;
  const last = content.findLastIndex((block) => block.type === "tool_use");
  const block = content[last];
  if (!block) return null;
  const text = JSON.stringify(block.input);
  inputText.set(last, text.slice(0, Math.ceil(text.length / 2)));
  content.length = last + 1;
  content[last] = { ...block, input: {} };
  return "max_tokens";
}

function refusalDetails(reason: StopReason | null | undefined): Json | null {
  return reason === "refusal" ? { type: "refusal", category: null, explanation: null } : null;
}

function usageOf(cached: CacheUsage, output: number, thinking: number, content: readonly Json[]): WireUsage {
  const uses = (name: string) =>
    content.filter((block) => block.type === "server_tool_use" && block.name === name).length;
  const [searches, fetches] = [uses("web_search"), uses("web_fetch")];
  return {
    input_tokens: cached.input,
    output_tokens: output,
    cache_creation_input_tokens: cached.write5m + cached.write1h,
    cache_read_input_tokens: cached.read,
    cache_creation: { ephemeral_5m_input_tokens: cached.write5m, ephemeral_1h_input_tokens: cached.write1h },
    output_tokens_details: { thinking_tokens: thinking },
    server_tool_use: searches + fetches > 0 ? { web_search_requests: searches, web_fetch_requests: fetches } : null,
    service_tier: "standard",
    speed: "standard",
    inference_geo: "global",
  };
}
