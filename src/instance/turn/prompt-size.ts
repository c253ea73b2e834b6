/**
 * An upper bound of what the next prompt can count: what the API itself reported for the part it has seen, and the bytes of
 * what is new. A token is never less than a byte, so bytes bound tokens; what was reported is exact.
 */
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type { TranscriptEntry } from "../../contracts/transcript.ts";
import { newestAnswer } from "../store/model-calls.ts";

/**
 * What the API adds to a prompt that has tools or a schema, in tokens, at most. Its own documentation names 264 to 804 for
 * the tool use prompt, by model; the rest is margin.
 */
const HIDDEN_TOKENS = 1_500;

/** In tokens. `entries` is what `body` was made of. */
export function promptBound(
  sql: SqlStorage,
  body: MessageCreateParamsStreaming,
  entries: readonly TranscriptEntry[],
): number {
  const known = newestAnswer(sql);
  const from = known ? entries.findIndex((entry) => entry.seq === known.answer_seq) : -1;
  const format = body.output_config ? bytesOf(body.output_config) + HIDDEN_TOKENS : 0;
  if (!known || from < 0) return bytesOf({ ...body, max_tokens: 0 }) + HIDDEN_TOKENS;
  return known.tokens + bytesOf(entries.slice(from + 1).map((entry) => entry.blocks)) + format;
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
