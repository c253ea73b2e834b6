/**
 * A deterministic stand-in for the tokenizer.
 *
 * Contract: the estimate of a block is never more than the number of UTF-8 bytes of the text in it (names, inputs,
 * schemas and base64 data count as text; the JSON around them does not), so "bytes of what is new" is a true upper
 * bound on tokens here, as it is with the real tokenizer. Signatures of thinking blocks count nothing.
 */
import { blocksOf, isObject, type Json } from "./wire.ts";

/** Bytes of English per token, roughly, with the tokenizer of the models since 4.7. */
const BYTES_PER_TOKEN = 3.5;

/** A text of more characters than this for each token is longer than so many tokens. */
export const MAX_CHARACTERS_PER_TOKEN = Math.ceil(BYTES_PER_TOKEN);

/** An image costs at most about this many tokens after it was scaled down (documented as width * height / 750). */
const IMAGE_TOKENS = 1600;

/** The UTF-8 length of a string in bytes; a lone surrogate counts as 3, as it would when replaced. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && isLow(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Tokens of so many bytes: 0 for 0, at least 1 and at most `bytes` otherwise. */
function tokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

/** Tokens of a text. */
export function textTokens(text: string): number {
  return tokensOfBytes(utf8Length(text));
}

/** The longest beginning of a text that is at most `tokens` tokens; never half a character. */
export function cutToTokens(text: string, tokens: number): string {
  const limit = Math.floor(tokens * BYTES_PER_TOKEN);
  if (text.length * 3 <= limit) return text;
  let bytes = 0;
  let end = 0;
  for (const char of text) {
    bytes += utf8Length(char);
    if (bytes > limit) break;
    end += char.length;
  }
  return text.slice(0, end);
}

/** Tokens of one content block, of the prompt or of the answer. */
export function blockTokens(block: Json): number {
  switch (block.type) {
    case "text":
      return typeof block.text === "string" ? textTokens(block.text) : 0;
    case "thinking":
      return typeof block.thinking === "string" ? textTokens(block.thinking) : 0;
    case "tool_use":
    case "server_tool_use":
      return tokensOfBytes(valueBytes(block.name) + valueBytes(block.input));
    case "tool_result":
      return blocksOf(block.content).reduce((sum, part) => sum + blockTokens(part), 0);
    case "image":
      return Math.min(IMAGE_TOKENS, tokensOfBytes(valueBytes(block.source)));
    default: {
      const { type: _, cache_control: __, ...rest } = block;
      return tokensOfBytes(valueBytes(rest));
    }
  }
}

/** Tokens of one tool definition. */
export function toolTokens(tool: Json): number {
  const { cache_control: _, ...rest } = tool;
  return tokensOfBytes(valueBytes(rest));
}

/** The bytes of a JSON value without its punctuation: never more than those of its JSON text. */
function valueBytes(value: unknown): number {
  if (typeof value === "string") return utf8Length(value);
  if (typeof value === "number") return String(value).length;
  if (typeof value === "boolean") return 4;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + valueBytes(item), 0);
  if (!isObject(value)) return 0;
  let sum = 0;
  for (const key in value) sum += utf8Length(key) + valueBytes(value[key]);
  return sum;
}
