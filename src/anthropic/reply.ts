/**
 * A model's answer, put together from the stream's events. Blocks are kept verbatim: they are sent again as they came.
 */
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import type { TokenUsage } from "../contracts/model-call.ts";
import type { Block } from "../contracts/transcript.ts";

export const NO_USAGE: TokenUsage = {
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  webSearches: 0,
};

export interface Reply {
  apiMessageId: string;
  model: string;
  blocks: Block[];
  /** Null until the API has said it. */
  stopReason: string | null;
  stopDetails: { category?: string | null; explanation?: string | null } | null;
  usage: TokenUsage;
  /** `message_stop` was received: the answer is whole and its usage final. */
  complete: boolean;
  /** Ids of tool calls whose input was no whole JSON object: they are never run. */
  brokenInputs: Set<string>;
}

function emptyReply(): Reply {
  return {
    apiMessageId: "",
    model: "",
    blocks: [],
    stopReason: null,
    stopDetails: null,
    usage: { ...NO_USAGE },
    complete: false,
    brokenInputs: new Set(),
  };
}

/** Takes one event into the reply. Event and block types that it doesn't know are kept as far as they say anything. */
export class ReplyBuilder {
  readonly reply: Reply = emptyReply();
  readonly #json = new Map<number, string>();

  add(event: RawMessageStreamEvent): void {
    const { reply } = this;
    switch (event.type) {
      case "message_start": {
        reply.apiMessageId = event.message?.id ?? "";
        reply.model = event.message?.model ?? "";
        readUsage(reply.usage, event.message?.usage);
        return;
      }
      case "content_block_start": {
        if (event.content_block) reply.blocks[event.index] = { ...(event.content_block as unknown as Block) };
        return;
      }
      case "content_block_delta": {
        const block = reply.blocks[event.index];
        if (block && event.delta)
          this.#addDelta(event.index, block, event.delta as unknown as { type: string } & Record<string, unknown>);
        return;
      }
      case "content_block_stop": {
        const block = reply.blocks[event.index];
        const json = this.#json.get(event.index);
        if (block && json !== undefined && json.trim() !== "") this.#setInput(block, json);
        return;
      }
      case "message_delta": {
        reply.stopReason = event.delta?.stop_reason ?? null;
        reply.stopDetails = (event.delta as { stop_details?: Reply["stopDetails"] } | null)?.stop_details ?? null;
        readUsage(reply.usage, event.usage);
        return;
      }
      case "message_stop": {
        // Indexes without a block would be holes.
        reply.blocks = reply.blocks.filter((block) => block !== undefined);
        reply.complete = true;
        return;
      }
    }
  }

  #addDelta(index: number, block: Block, delta: { type: string } & Record<string, unknown>): void {
    const grow = (field: string) => {
      block[field] = `${block[field] ?? ""}${delta[field] ?? ""}`;
    };
    switch (delta.type) {
      case "text_delta":
        grow("text");
        return;
      case "thinking_delta":
        grow("thinking");
        return;
      case "signature_delta":
        block.signature = delta.signature;
        return;
      case "input_json_delta":
        this.#json.set(index, (this.#json.get(index) ?? "") + String(delta.partial_json ?? ""));
        return;
      case "citations_delta":
        block.citations = [...((block.citations as unknown[] | null) ?? []), delta.citation];
        return;
      case "compaction_delta": {
        const { type: _type, ...fields } = delta;
        Object.assign(block, fields);
        return;
      }
    }
  }

  #setInput(block: Block, json: string): void {
    try {
      const input: unknown = JSON.parse(json);
      if (typeof input === "object" && input !== null && !Array.isArray(input)) {
        block.input = input;
        return;
      }
    } catch {
      // Cut off by max_tokens, or malformed: either way the call is reported to the model as not run.
    }
    block.input = {};
    this.reply.brokenInputs.add(String(block.id));
  }
}

/**
 * Overwrites what the API says; its counts are cumulative. The 5 min/1 h split comes in `message_start` only. A gateway between may
 * leave out the whole or parts: what was said before stays.
 */
function readUsage(usage: TokenUsage, reported: unknown): void {
  if (typeof reported !== "object" || reported === null) return;
  const said = reported as Record<string, unknown>;
  const number = (value: unknown) => (Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null);
  usage.input = number(said.input_tokens) ?? usage.input;
  usage.output = number(said.output_tokens) ?? usage.output;
  usage.cacheRead = number(said.cache_read_input_tokens) ?? usage.cacheRead;
  const split = said.cache_creation as Record<string, unknown> | null | undefined;
  if (split) {
    usage.cacheWrite5m = number(split.ephemeral_5m_input_tokens) ?? 0;
    usage.cacheWrite1h = number(split.ephemeral_1h_input_tokens) ?? 0;
  } else {
    // Without a split everything counts as written for 5 minutes, which is what the requests ask for.
    const written = number(said.cache_creation_input_tokens);
    if (written !== null) usage.cacheWrite5m = Math.max(0, written - usage.cacheWrite1h);
  }
  const tools = said.server_tool_use as Record<string, unknown> | null | undefined;
  if (tools) usage.webSearches = number(tools.web_search_requests) ?? usage.webSearches;
}
