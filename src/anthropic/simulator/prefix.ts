/**
 * A request seen as one growing sequence of blocks: tools, then system, then messages. One pass gives each block the
 * hash of all that comes before it, which is what thinking signatures are bound to and what the prompt cache looks up.
 */
import { blockTokens, toolTokens } from "./tokens.ts";
import { blocksOf, isObject, type Json, messagesOf } from "./wire.ts";

/** How long a cache entry lives. */
export type CacheTtl = "5m" | "1h";

/** One block of the sequence. */
export interface PrefixBlock {
  readonly part: "tools" | "system" | "messages";
  /** Index in `messages`; -1 outside. */
  readonly message: number;
  /** Index in its tools, system or content. */
  readonly index: number;
  readonly block: Json;
  /** Hash of everything before the block; computed only for thinking blocks, else empty. */
  readonly before: string;
  /** Hash of everything up to and with the block. */
  readonly after: string;
  /** Tokens of everything up to and with the block. */
  readonly tokens: number;
  /** The block's own `cache_control`. */
  readonly ttl: CacheTtl | null;
}

/** A request's sequence. */
export interface Prefix {
  readonly blocks: readonly PrefixBlock[];
  /** Hash of the tools alone, and of the system prompt alone. */
  readonly tools: string;
  readonly system: string;
  /** Tokens of the whole prompt. */
  readonly tokens: number;
  /** A hash that stands where the answer begins. */
  readonly end: RunningHash;
}

/** A hash that can be read at any point while it goes on. Not for secrets: it only has to make accidents visible. */
export class RunningHash {
  private a: number;
  private b: number;

  constructor(a = 0x9e3779b9, b = 0x85ebca6b) {
    this.a = a;
    this.b = b;
  }

  /** A hash that goes on from here by itself. */
  fork(): RunningHash {
    return new RunningHash(this.a, this.b);
  }

  /** Adds a text together with its length, so that ["ab","c"] and ["a","bc"] differ. */
  text(text: string): this {
    let a = Math.imul(this.a ^ text.length, 0x27d4eb2f);
    let b = this.b;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(a ^ unit, 0x9e3779b1);
      b = Math.imul(b ^ unit, 0x5f356495);
    }
    this.a = a ^ (a >>> 15);
    this.b = b ^ (b >>> 13);
    return this;
  }

  /** Adds a JSON value; the order of an object's keys does not matter. */
  value(value: unknown): this {
    if (typeof value === "string") return this.text("s").text(value);
    if (Array.isArray(value)) {
      this.text(`a${value.length}`);
      for (const item of value) this.value(item);
      return this;
    }
    if (!isObject(value)) return this.text(String(value));
    const keys = Object.keys(value).sort();
    this.text(`o${keys.length}`);
    for (const key of keys) this.text(key).value(value[key]);
    return this;
  }

  /**
   * Adds a block as the model sees it: without `cache_control`, and with a default written out counting as left out.
   */
  block(block: Json): this {
    for (const key of Object.keys(block).sort()) {
      const value = block[key];
      if (key === "cache_control" || value === null || value === undefined) continue;
      if (key === "is_error" && value === false) continue;
      if (key === "caller" && isObject(value) && value.type === "direct") continue;
      this.text(key);
      if (key === "content" && block.type === "tool_result") {
        for (const part of blocksOf(value)) this.block(part);
      } else this.value(value);
    }
    return this.text("end");
  }

  /** The hash so far, 22 or so characters. */
  read(): string {
    const mix = (x: number, y: number) => {
      let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b) ^ Math.imul(y ^ (y >>> 13), 0xc2b2ae35);
      h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
      return ((h ^ (h >>> 16)) >>> 0).toString(36);
    };
    return `${mix(this.a, this.b)}${mix(this.b, this.a ^ 0x1234567)}${(this.a >>> 0).toString(36)}`;
  }
}

/** Reads a valid body into its sequence. Neighbouring messages of one role count as one turn, as the API has it. */
export function prefixOf(body: Json): Prefix {
  const hash = new RunningHash();
  const blocks: PrefixBlock[] = [];
  let tokens = 0;
  const add = (part: PrefixBlock["part"], message: number, index: number, block: Json, cost: number) => {
    const before = block.type === "thinking" ? hash.read() : "";
    hash.block(block);
    tokens += cost;
    blocks.push({ part, message, index, block, before, after: hash.read(), tokens, ttl: ttlOf(block.cache_control) });
  };

  const tools = new RunningHash();
  for (const [index, tool] of (Array.isArray(body.tools) ? body.tools : []).entries()) {
    if (!isObject(tool)) continue;
    tools.block(tool);
    add("tools", -1, index, tool, toolTokens(tool));
  }
  const system = new RunningHash();
  hash.text("system");
  for (const [index, block] of blocksOf(body.system).entries()) {
    system.block(block);
    add("system", -1, index, block, blockTokens(block));
  }
  let role: unknown = null;
  for (const [number, message] of messagesOf(body).entries()) {
    if (message.role !== role) {
      role = message.role;
      hash.text(String(role));
    }
    for (const [index, block] of blocksOf(message.content).entries()) {
      add("messages", number, index, block, blockTokens(block));
    }
  }
  if (role !== "assistant") hash.text("assistant");
  return { blocks, tools: tools.read(), system: system.read(), tokens, end: hash };
}

/** The time to live that a `cache_control` value asks for; null when it is absent. */
export function ttlOf(control: unknown): CacheTtl | null {
  if (!isObject(control)) return null;
  return control.ttl === "1h" ? "1h" : "5m";
}
