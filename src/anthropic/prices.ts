/**
 * List prices of the Messages API, and the arithmetic over them, in integers.
 *
 * Unit: nano-USD per token. 1 USD per million tokens is 1,000 nano-USD per token, so every list price is a whole
 * number.
 *
 * Left out on purpose, because no request of ours asks for them: batch (half price), `speed: "fast"`, and
 * `inference_geo: "us"` (1.1 times). Web fetch has no charge of its own.
 */

/** Where a row's numbers were read. */
const OFFICIAL = "https://platform.claude.com/docs/en/about-claude/pricing";
const FABLE_5_2 =
  "third parties only (two agreeing); the official page was not seen since 2026-11-09: https://models.dev";
const OPUS_5_5 = `${OFFICIAL} (input, output); cache rates: three agreeing third parties`;
const SONNET_5_5 = `${OFFICIAL} (input, output); cache read since 2026-10-07: three agreeing third parties`;
const HAIKU_5_5 =
  "https://platform.claude.com/docs/en/models/haiku-5-5/overview (input, output, writes); rest third party";
const THIRD_PARTY = "third party: https://models.dev";

/** 0.01 USD a search: 10 USD per 1,000 searches on the official price page. */
const WEB_SEARCH = 10_000_000;

/** `from` of a row whose model has had no earlier price. */
const SINCE_LAUNCH = "1970-01-01";

/** The date on which all rows were last compared with their sources. */
const CHECKED_ON = "2026-11-22";

/** The rates that hold for one request. All amounts in nano-USD per token, `webSearch` per request. */
export interface Price {
  readonly model: string;
  /** ISO date (UTC midnight) from which the row holds, until the model's next row. */
  readonly from: string;
  /** The row holds for prompts (input + cache reads + cache writes) of at most this many tokens; null: of any size. */
  readonly upToPromptTokens: number | null;
  readonly input: number;
  readonly output: number;
  readonly cacheWrite5m: number;
  readonly cacheWrite1h: number;
  readonly cacheRead: number;
  /** nano-USD per web search request. */
  readonly webSearch: number;
  readonly source: string;
  /** ISO date. */
  readonly checkedOn: string;
}

/**
 * Token counts of one request, none of them overlapping: the prompt is `input + cacheRead + cacheWrite5m +
 * cacheWrite1h`.
 */
export interface PricedUsage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite5m: number;
  readonly cacheWrite1h: number;
  readonly webSearches: number;
}

/** Writes a row in USD per million tokens, as the price pages do. */
function row(
  model: string,
  usd: readonly [input: number, output: number, write5m: number, write1h: number, read: number],
  source: string,
  scope: { from?: string; upTo?: number } = {},
): Price {
  const nano = (perMillion: number) => Math.round(perMillion * 1000);
  return {
    model,
    from: scope.from ?? SINCE_LAUNCH,
    upToPromptTokens: scope.upTo ?? null,
    input: nano(usd[0]),
    output: nano(usd[1]),
    cacheWrite5m: nano(usd[2]),
    cacheWrite1h: nano(usd[3]),
    cacheRead: nano(usd[4]),
    webSearch: WEB_SEARCH,
    source,
    checkedOn: CHECKED_ON,
  };
}

const OPUS_5 = [5, 25, 6.25, 10, 0.5] as const;
const SONNET_4 = [3, 15, 3.75, 6, 0.3] as const;
const HAIKU_4_5 = [1, 5, 1.25, 2, 0.1] as const;

/**
 * The price table: a model's rows by rising `from`, and within one date by rising band. Mythos 5.2 has no row: its
 * price has not been seen anywhere, and a guess would be worse than none.
 */
export const PRICES: readonly Price[] = [
  row("claude-fable-5-2", [8, 40, 10, 16, 0.2], FABLE_5_2),
  row("claude-fable-5-1", [10, 50, 12.5, 20, 0.25], OFFICIAL),
  row("claude-mythos-5-1", [10, 50, 12.5, 20, 0.25], OFFICIAL),
  row("claude-fable-5", [10, 50, 12.5, 20, 1], OFFICIAL),
  row("claude-mythos-5", [10, 50, 12.5, 20, 1], OFFICIAL),
  row("claude-opus-5-5", [4, 20, 5, 8, 0.2], OPUS_5_5),
  row("claude-opus-5", OPUS_5, OFFICIAL),
  row("claude-opus-4-8", OPUS_5, OFFICIAL),
  row("claude-opus-4-7", OPUS_5, OFFICIAL),
  row("claude-opus-4-6", OPUS_5, OFFICIAL),
  row("claude-opus-4-5", OPUS_5, OFFICIAL),
  row("claude-opus-4-5-20251101", OPUS_5, OFFICIAL),
  row("claude-sonnet-5-5", [2, 10, 2.5, 4, 0.2], SONNET_5_5),
  row("claude-sonnet-5-5", [2, 10, 2.5, 4, 0.1], SONNET_5_5, { from: "2026-10-07" }),
  row("claude-sonnet-5", [2, 10, 2.5, 4, 0.2], THIRD_PARTY),
  row("claude-sonnet-4-6", SONNET_4, OFFICIAL),
  row("claude-sonnet-4-5", SONNET_4, OFFICIAL),
  row("claude-sonnet-4-5-20250929", SONNET_4, OFFICIAL),
  row("claude-haiku-5-5", [0.1, 0.5, 0.125, 0.2, 0.01], HAIKU_5_5, { upTo: 100_000 }),
  row("claude-haiku-5-5", [0.5, 2.5, 0.625, 1, 0.05], HAIKU_5_5),
  row("claude-haiku-4-5", HAIKU_4_5, OFFICIAL),
  row("claude-haiku-4-5-20251001", HAIKU_4_5, OFFICIAL),
];

/** The bands in force for a model at a time, smallest first; empty when the model has no price then. */
function bandsAt(modelId: string, atMs: number): readonly Price[] {
  let current: readonly Price[] = [];
  for (const price of PRICES) {
    if (price.model !== modelId || Date.parse(price.from) > atMs) continue;
    current = current[0]?.from === price.from ? [...current, price] : [price];
  }
  return current;
}

/**
 * The rates of one request. `atMs` is when the request began (epoch milliseconds); `promptTokens` is input + cache
 * reads + cache writes, and the band it falls in holds for every token of the request, output too. Null when the exact
 * id has no price: never a sibling's.
 */
export function priceOf(modelId: string, atMs: number, promptTokens: number): Price | null {
  const bands = bandsAt(modelId, atMs);
  return bands.find((band) => band.upToPromptTokens === null || promptTokens <= band.upToPromptTokens) ?? null;
}

/**
 * The highest rate of every kind over all bands at that time: what an upper bound is made of. Null when there is no
 * price.
 */
export function highestPrice(modelId: string, atMs: number): Price | null {
  const bands = bandsAt(modelId, atMs);
  const first = bands[0];
  if (!first) return null;
  const most = (rate: (band: Price) => number) => Math.max(...bands.map(rate));
  return {
    ...first,
    upToPromptTokens: null,
    input: most((band) => band.input),
    output: most((band) => band.output),
    cacheWrite5m: most((band) => band.cacheWrite5m),
    cacheWrite1h: most((band) => band.cacheWrite1h),
    cacheRead: most((band) => band.cacheRead),
    webSearch: most((band) => band.webSearch),
  };
}

/**
 * The most that one prompt token can cost under this price, in nano-USD, whichever way it is counted (a 1 h cache
 * write, today).
 */
export function highestInputPrice(price: Price): number {
  return Math.max(price.input, price.cacheWrite5m, price.cacheWrite1h, price.cacheRead);
}

/**
 * The cost of one request in whole nano-USD. Throws RangeError when a count is not a non-negative safe integer: a
 * ledger must not swallow NaN.
 */
export function costOf(price: Price, usage: PricedUsage): number {
  const cost =
    count(usage.input, "input") * price.input +
    count(usage.output, "output") * price.output +
    count(usage.cacheRead, "cacheRead") * price.cacheRead +
    count(usage.cacheWrite5m, "cacheWrite5m") * price.cacheWrite5m +
    count(usage.cacheWrite1h, "cacheWrite1h") * price.cacheWrite1h +
    count(usage.webSearches, "webSearches") * price.webSearch;
  if (!Number.isSafeInteger(cost)) throw new RangeError(`cost of ${price.model} is not a safe integer: ${cost}`);
  return cost;
}

function count(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`usage.${name} is not a token count: ${value}`);
  return value;
}
