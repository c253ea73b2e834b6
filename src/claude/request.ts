/**
 * The body of a model call, made from stored rows alone: the same rows give the same bytes, which is what prompt caching
 * and the models' check of a replayed prefix ask for.
 */
import type { MessageCreateParamsStreaming, MessageParam } from "@anthropic-ai/sdk/resources/messages";
import type { InstanceSpec } from "../instance/spec.ts";
import type { Block, Entry } from "../instance/transcript.ts";

export interface RequestOptions {
  /** JSON Schema that the answer has to follow; null for free text. */
  responseSchema: Record<string, unknown> | null;
}

export function requestOf(
  spec: InstanceSpec,
  entries: readonly Entry[],
  options: RequestOptions,
): MessageCreateParamsStreaming {
  const outputConfig = {
    ...(spec.effort ? { effort: spec.effort } : {}),
    ...(options.responseSchema ? { format: { type: "json_schema" as const, schema: options.responseSchema } } : {}),
  };
  return {
    model: spec.model,
    max_tokens: spec.max_tokens,
    system: spec.system,
    ...(spec.tools.length > 0 ? { tools: spec.tools as MessageCreateParamsStreaming["tools"] } : {}),
    messages: messagesOf(entries),
    // Automatic caching: the breakpoint is the last block, and moves on with the conversation.
    cache_control: { type: "ephemeral" },
    ...(Object.keys(outputConfig).length > 0 ? { output_config: outputConfig } : {}),
    stream: true,
  } as MessageCreateParamsStreaming;
}

/**
 * Neighbours of the same role become one message: a message whose turn failed stands before the next one, and an answer
 * that was paused before its continuation.
 */
export function messagesOf(entries: readonly Entry[]): MessageParam[] {
  const messages: { role: Entry["role"]; content: Block[] }[] = [];
  for (const { role, blocks } of entries) {
    const last = messages.at(-1);
    if (last?.role === role) last.content = [...last.content, ...blocks];
    else messages.push({ role, content: blocks });
  }
  return messages as unknown as MessageParam[];
}
