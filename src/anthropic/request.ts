/**
 * The body of a model call, made from stored rows alone: the same rows give the same bytes, which is what prompt caching
 * and the models' check of a replayed prefix ask for.
 */
import type { MessageCreateParamsStreaming, MessageParam } from "@anthropic-ai/sdk/resources/messages";
import type { InstanceSpec } from "../contracts/instance-spec.ts";
import type { TranscriptEntry } from "../contracts/transcript.ts";
import { wellFormed } from "../platform/well-formed.ts";
import { conversationOf } from "./conversation.ts";

export interface RequestOptions {
  /** JSON Schema that the answer has to follow; null for free text. */
  responseSchema: Record<string, unknown> | null;
  /** The simulator is to answer. */
  simulated: boolean;
}

export function requestOf(
  spec: InstanceSpec,
  entries: readonly TranscriptEntry[],
  options: RequestOptions,
): MessageCreateParamsStreaming {
  const outputConfig = {
    ...(spec.effort ? { effort: spec.effort } : {}),
    ...(options.responseSchema ? { format: { type: "json_schema" as const, schema: options.responseSchema } } : {}),
  };
  // Rows are well-formed when they are stored; those of an older version of this server may not be.
  return wellFormed({
    model: spec.model,
    max_tokens: spec.max_tokens,
    system: spec.system,
    ...(spec.tools.length > 0 ? { tools: spec.tools as MessageCreateParamsStreaming["tools"] } : {}),
    messages: conversationOf(
      entries.map((entry) => (entry.simulated === options.simulated ? entry : withoutThinking(entry))),
    ) as unknown as MessageParam[],
    // Automatic caching: the breakpoint is the last block, and moves on with the conversation.
    cache_control: { type: "ephemeral" },
    ...(Object.keys(outputConfig).length > 0 ? { output_config: outputConfig } : {}),
    stream: true,
  } as MessageCreateParamsStreaming);
}

/**
 * Thinking is signed by whoever wrote it. When a key was added to a server that ran on the simulator, or taken away, what the
 * other one thought can't be shown to this one; what it said can.
 */
function withoutThinking(entry: TranscriptEntry): TranscriptEntry {
  if (entry.role !== "assistant") return entry;
  return { ...entry, blocks: entry.blocks.filter(({ type }) => type !== "thinking" && type !== "redacted_thinking") };
}
