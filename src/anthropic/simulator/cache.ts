/**
 * The prompt cache, as its usage figures show it: prefixes are written at breakpoints, found again by looking back from
 * them, and forgotten when not used for their time to live.
 */
import type { Model } from "../models.ts";
import { type CacheTtl, type Prefix, ttlOf } from "./prefix.ts";
import type { Json } from "./wire.ts";

/** How many blocks before a breakpoint are tried for an entry. From Anthropic's prompt caching guide. */
const LOOKBACK_BLOCKS = 20;

const LIFETIME_MS: Record<CacheTtl, number> = { "5m": 5 * 60_000, "1h": 60 * 60_000 };

/** How a prompt's tokens were counted: the four add up to the whole prompt. */
export interface CacheUsage {
  readonly input: number;
  readonly read: number;
  readonly write5m: number;
  readonly write1h: number;
}

interface CachedPrefix {
  readonly ttl: CacheTtl;
  expires: number;
}

/** A prompt cache of bounded size; the least recently used entry goes first. */
export class PromptCache {
  private readonly entries = new Map<string, CachedPrefix>();
  private readonly limit: number;

  constructor(limit = 4096) {
    this.limit = limit;
  }

  /** Counts a prompt and, unless `dry`, writes what it asked to have cached. `now` in epoch milliseconds. */
  account(prefix: Prefix, model: Model, body: Json, now: number, dry = false): CacheUsage {
    const blocks = prefix.blocks;
    const breakpoints = breakpointsOf(prefix, body);
    // A change of these leaves tools and system cached, but not the messages.
    const settings = JSON.stringify([body.tool_choice ?? null, body.thinking ?? null]);
    const keyAt = (at: number) => {
      const block = blocks[at];
      return block ? `${model.id}|${block.part === "messages" ? settings : ""}|${block.after}` : "";
    };
    const tokensAt = (at: number) => blocks[at]?.tokens ?? 0;

    let hit = -1;
    for (const { at } of breakpoints.toReversed()) {
      for (let back = at; back >= 0 && back > at - LOOKBACK_BLOCKS && hit < 0; back--) {
        if (tokensAt(back) >= model.minCacheable && this.touch(keyAt(back), now)) hit = back;
      }
      if (hit >= 0) break;
    }

    const read = hit >= 0 ? tokensAt(hit) : 0;
    let counted = read;
    const written: Record<CacheTtl, number> = { "5m": 0, "1h": 0 };
    for (const { at, ttl } of breakpoints) {
      const size = tokensAt(at);
      if (size < model.minCacheable || size <= counted) continue;
      written[ttl] += size - counted;
      counted = size;
      if (!dry) this.write(keyAt(at), ttl, now);
    }
    return { input: prefix.tokens - counted, read, write5m: written["5m"], write1h: written["1h"] };
  }

  private touch(key: string, now: number): boolean {
    const entry = this.entries.get(key);
    if (!entry) return false;
    this.entries.delete(key);
    if (entry.expires <= now) return false;
    entry.expires = now + LIFETIME_MS[entry.ttl];
    this.entries.set(key, entry);
    return true;
  }

  private write(key: string, ttl: CacheTtl, now: number): void {
    this.entries.delete(key);
    this.entries.set(key, { ttl, expires: now + LIFETIME_MS[ttl] });
    if (this.entries.size <= this.limit) return;
    const [oldest] = this.entries.keys();
    if (oldest !== undefined) this.entries.delete(oldest);
  }
}

/**
 * The breakpoints of a request in order: the marked blocks, and with automatic caching the last block that can be
 * cached.
 */
function breakpointsOf(prefix: Prefix, body: Json): readonly { at: number; ttl: CacheTtl }[] {
  const marked = prefix.blocks.flatMap(({ ttl }, at) => (ttl ? [{ at, ttl }] : []));
  const automatic = ttlOf(body.cache_control);
  if (!automatic) return marked;
  const last = prefix.blocks.findLastIndex(
    ({ block }) => block.type !== "thinking" && block.type !== "redacted_thinking",
  );
  if (last < 0 || marked.some(({ at }) => at === last)) return marked;
  return [...marked, { at: last, ttl: automatic }];
}
