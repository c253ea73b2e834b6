/**
 * Signatures of thinking blocks. On the models with preserved thinking a block is bound to the exact system prompt,
 * tools and earlier blocks that it was made after (`cache_control` aside): replayed after anything else, it is a 400.
 * That catches every transcript that was edited, reordered or trimmed.
 */
import type { Model } from "../models.ts";
import { type Prefix, RunningHash } from "./prefix.ts";
import { invalid, type Json } from "./wire.ts";

const VERSION = "sim1";

/** Signs an answer's thinking blocks, which means following the answer block by block. */
export interface Signer {
  /** The signature of a thinking block that comes next. */
  sign(thinking: string): string;
  /** Moves past a block that was added to the answer. */
  add(block: Json): void;
}

/** A signer that stands at the end of a request. */
export function signerAt(prefix: Prefix, model: Model): Signer {
  const hash = prefix.end.fork();
  return {
    sign: (thinking) =>
      encode({
        model: model.id,
        text: textHash(thinking),
        system: prefix.system,
        tools: prefix.tools,
        before: hash.read(),
      }),
    add: (block) => {
      hash.block(block);
    },
  };
}

/**
 * Checks every replayed thinking block; throws the real API's 400 for the first that does not fit. Blocks of another
 * model are passed over: the API drops those silently. With `dropMismatches` (beta `block_binding`) a block whose
 * surroundings changed is passed over as well.
 */
export function verifySignatures(prefix: Prefix, model: Model, dropMismatches: boolean): void {
  for (const { block, message, index, before } of prefix.blocks) {
    if (block.type !== "thinking") continue;
    const at = `messages.${message}.content.${index}`;
    const thinking = typeof block.thinking === "string" ? block.thinking : "";
    const signed = typeof block.signature === "string" ? decode(block.signature) : null;
    if (!signed || signed.text !== textHash(thinking)) {
      throw invalid(`${at}: Invalid \`signature\` in \`thinking\` block`);
    }
    if (signed.model !== model.id || !model.preservedThinking || signed.before === before || dropMismatches) continue;
    throw invalid(
      `${at}: Invalid \`signature\` in \`thinking\` block. The block is bound to a different conversation. Remove the block, or set \`thinking.block_binding.prefix_mismatch_behavior\` to "drop_block". This setting requires the value \`thinking-binding-controls-2026-08-01\` in the \`anthropic-beta\` header. ${changed(signed, prefix)}`,
    );
  }
}

function changed(signed: Signed, prefix: Prefix): string {
  if (signed.system !== prefix.system) return "The `system` prompt changed.";
  if (signed.tools !== prefix.tools) return "The `tools` changed.";
  return "An earlier block in `messages` changed, or was added, removed or moved.";
}

interface Signed {
  readonly model: string;
  readonly text: string;
  readonly system: string;
  readonly tools: string;
  readonly before: string;
}

function textHash(text: string): string {
  return new RunningHash().text(text).read();
}

function encode(signed: Signed): string {
  return btoa([VERSION, signed.model, signed.text, signed.system, signed.tools, signed.before].join("|"));
}

function decode(signature: string): Signed | null {
  let parts: string[];
  try {
    parts = atob(signature).split("|");
  } catch {
    return null;
  }
  const [version, model, text, system, tools, before] = parts;
  if (version !== VERSION || !model || !text || !system || !tools || !before) return null;
  return { model, text, system, tools, before };
}
