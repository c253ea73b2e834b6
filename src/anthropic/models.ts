/**
 * The models this server knows: aliases, limits, and what each accepts.
 *
 * Facts and where they come from (checked 2026-11-22):
 * - ids and deprecation dates: `Model` and `DEPRECATED_MODELS` of `@anthropic-ai/sdk` 1.12.0
 * - windows and output limits of the 5 generation and Haiku 4.5: platform.claude.com, models overview
 * - windows of 4.5 to 4.8: not confirmed there; the smaller known value stands here
 * - effort levels: platform.claude.com, "Effort"; thinking types: the "What's new" page of each 5.x model
 * - smallest cacheable prompt: 512 Opus 5 and Fable 5, 1,024 Sonnet 5 and 4.6 and Opus 4.8, 2,048 Opus 4.7, 4,096 Haiku
 *   4.5, Opus 4.5 and 4.6 (release articles). For the 5.5 family and Fable 5.1 and 5.2 no official number was seen, so
 *   the larger of the likely ones stands here: whoever plans on caching is then never disappointed.
 */
import type { Effort } from "../contracts/model-call.ts";

/** A value of `thinking.type`. */
export type ThinkingType = "adaptive" | "between_tools" | "disabled" | "enabled";

/** The line a model belongs to. Never inferred from the id. */
export type ModelLine = "haiku" | "sonnet" | "opus" | "fable" | "mythos";

/** One model as the Messages API offers it. */
export interface Model {
  /** The exact id sent to the API. */
  readonly id: string;
  readonly line: ModelLine;
  readonly displayName: string;
  /** Tokens of prompt and output together. */
  readonly contextWindow: number;
  /** The largest `max_tokens` that is accepted. */
  readonly maxOutput: number;
  /**
   * What happens without a `thinking` parameter: `always` thinks and cannot be told not to, `adaptive` thinks unless
   * told not to, `optional` thinks only when told to.
   */
  readonly thinking: "always" | "adaptive" | "optional";
  /** The `thinking.type` values that are accepted; any other is a 400. */
  readonly thinkingTypes: readonly ThinkingType[];
  /** Effort levels that are accepted; empty: the parameter itself is a 400. */
  readonly efforts: readonly Effort[];
  /** Effort when none is sent; null where the model has none. */
  readonly defaultEffort: Effort | null;
  /** True where `disabled` and `between_tools` are refused together with `xhigh` or `max`. */
  readonly thinkingOffCapsEffort: boolean;
  /** Whether `tool_choice` of type `any` or `tool` is accepted at all. */
  readonly forcedToolChoice: boolean;
  /** Whether replayed thinking blocks are checked against the system prompt, tools and messages before them. */
  readonly preservedThinking: boolean;
  /** Prompts shorter than this many tokens are silently not cached. Conservative: see the head of this file. */
  readonly minCacheable: number;
  /** ISO date after which the API is to answer 404, when one is announced. */
  readonly retiresOn: string | null;
}

/** The short names people use. The values are ids in `MODELS`. */
export const ALIASES = {
  sonnet: "claude-sonnet-5-5",
  opus: "claude-opus-5-5",
  haiku: "claude-haiku-5-5",
  fable: "claude-fable-5-2",
} as const;

/** A key of `ALIASES`. */
export type Alias = keyof typeof ALIASES;

const ALL: readonly Effort[] = ["low", "medium", "high", "xhigh", "max"];
const NO_XHIGH: readonly Effort[] = ["low", "medium", "high", "max"];
const UP_TO_HIGH: readonly Effort[] = ["low", "medium", "high"];

const GENERATION_5 = {
  contextWindow: 1_000_000,
  maxOutput: 128_000,
  efforts: ALL,
  defaultEffort: "high",
  thinkingOffCapsEffort: false,
  forcedToolChoice: false,
  preservedThinking: false,
  retiresOn: null,
} as const;

const ALWAYS = { ...GENERATION_5, thinking: "always", thinkingTypes: ["adaptive"] } as const;

const GENERATION_4 = {
  contextWindow: 200_000,
  maxOutput: 64_000,
  thinking: "optional",
  thinkingTypes: ["adaptive", "disabled", "enabled"],
  thinkingOffCapsEffort: false,
  forcedToolChoice: true,
  preservedThinking: false,
  retiresOn: null,
} as const;

const OPUS_4_5 = {
  ...GENERATION_4,
  line: "opus",
  displayName: "Claude Opus 4.5",
  thinkingTypes: ["disabled", "enabled"],
  efforts: UP_TO_HIGH,
  defaultEffort: "high",
  minCacheable: 4096,
} as const;

const SONNET_4_5 = {
  ...GENERATION_4,
  line: "sonnet",
  displayName: "Claude Sonnet 4.5",
  thinkingTypes: ["disabled", "enabled"],
  efforts: [],
  defaultEffort: null,
  minCacheable: 1024,
  // `DEPRECATED_MODELS` of SDK 1.12.0: "November 30th, 2026".
  retiresOn: "2026-11-30",
} as const;

const HAIKU_4_5 = {
  ...GENERATION_4,
  line: "haiku",
  displayName: "Claude Haiku 4.5",
  thinkingTypes: ["disabled", "enabled"],
  efforts: [],
  defaultEffort: null,
  minCacheable: 4096,
} as const;

/** Every model that can be asked for, newest first (the order of the SDK's `Model`). */
export const MODELS: readonly Model[] = [
  {
    ...ALWAYS,
    id: "claude-fable-5-2",
    line: "fable",
    displayName: "Claude Fable 5.2",
    preservedThinking: true,
    minCacheable: 1024,
  },
  // Mythos (for verified security organisations) is taken to behave as the Fable of the same number.
  {
    ...ALWAYS,
    id: "claude-mythos-5-2",
    line: "mythos",
    displayName: "Claude Mythos 5.2",
    preservedThinking: true,
    minCacheable: 1024,
  },
  {
    ...GENERATION_5,
    id: "claude-haiku-5-5",
    line: "haiku",
    displayName: "Claude Haiku 5.5",
    thinking: "adaptive",
    thinkingTypes: ["adaptive", "disabled"],
    defaultEffort: "medium",
    thinkingOffCapsEffort: true,
    forcedToolChoice: true,
    preservedThinking: true,
    minCacheable: 4096,
  },
  {
    ...GENERATION_5,
    id: "claude-sonnet-5-5",
    line: "sonnet",
    displayName: "Claude Sonnet 5.5",
    thinking: "adaptive",
    thinkingTypes: ["adaptive", "between_tools"],
    thinkingOffCapsEffort: true,
    preservedThinking: true,
    minCacheable: 1024,
  },
  {
    ...ALWAYS,
    id: "claude-fable-5-1",
    line: "fable",
    displayName: "Claude Fable 5.1",
    preservedThinking: true,
    minCacheable: 1024,
  },
  {
    ...ALWAYS,
    id: "claude-opus-5-5",
    line: "opus",
    displayName: "Claude Opus 5.5",
    defaultEffort: "medium",
    preservedThinking: true,
    minCacheable: 1024,
  },
  {
    ...ALWAYS,
    id: "claude-mythos-5-1",
    line: "mythos",
    displayName: "Claude Mythos 5.1",
    preservedThinking: true,
    minCacheable: 1024,
  },
  {
    ...GENERATION_5,
    id: "claude-sonnet-5",
    line: "sonnet",
    displayName: "Claude Sonnet 5",
    thinking: "adaptive",
    thinkingTypes: ["adaptive", "disabled"],
    forcedToolChoice: true,
    minCacheable: 1024,
  },
  { ...ALWAYS, id: "claude-fable-5", line: "fable", displayName: "Claude Fable 5", minCacheable: 512 },
  { ...ALWAYS, id: "claude-mythos-5", line: "mythos", displayName: "Claude Mythos 5", minCacheable: 512 },
  {
    ...GENERATION_5,
    id: "claude-opus-5",
    line: "opus",
    displayName: "Claude Opus 5",
    thinking: "adaptive",
    thinkingTypes: ["adaptive", "disabled"],
    thinkingOffCapsEffort: true,
    forcedToolChoice: true,
    minCacheable: 512,
  },
  {
    ...GENERATION_4,
    id: "claude-opus-4-8",
    line: "opus",
    displayName: "Claude Opus 4.8",
    thinkingTypes: ["adaptive", "disabled"],
    efforts: ALL,
    defaultEffort: "high",
    minCacheable: 1024,
  },
  {
    ...GENERATION_4,
    id: "claude-opus-4-7",
    line: "opus",
    displayName: "Claude Opus 4.7",
    thinkingTypes: ["adaptive", "disabled"],
    efforts: ALL,
    defaultEffort: "high",
    minCacheable: 2048,
  },
  {
    ...GENERATION_4,
    id: "claude-opus-4-6",
    line: "opus",
    displayName: "Claude Opus 4.6",
    efforts: NO_XHIGH,
    defaultEffort: "high",
    minCacheable: 4096,
  },
  {
    ...GENERATION_4,
    id: "claude-sonnet-4-6",
    line: "sonnet",
    displayName: "Claude Sonnet 4.6",
    efforts: NO_XHIGH,
    defaultEffort: "high",
    minCacheable: 1024,
  },
  { ...HAIKU_4_5, id: "claude-haiku-4-5" },
  { ...HAIKU_4_5, id: "claude-haiku-4-5-20251001" },
  { ...OPUS_4_5, id: "claude-opus-4-5" },
  { ...OPUS_4_5, id: "claude-opus-4-5-20251101" },
  { ...SONNET_4_5, id: "claude-sonnet-4-5" },
  { ...SONNET_4_5, id: "claude-sonnet-4-5-20250929" },
];

/** An id that the API answers with 404 for good. */
export interface RetiredModel {
  readonly id: string;
  /** ISO date. */
  readonly retiredOn: string;
  /** The alias to use instead. */
  readonly replacement: Alias;
}

/**
 * Retired ids. Dates: Sonnet 4 and Opus 4 from Anthropic's release notes of 2026-06-15, Opus 4.1 from its price page
 * and release notes, 3.7, 3.5 Haiku and 3.5 Sonnet from its deprecation notices (2026-02-19, 2025-10-28).
 */
export const RETIRED: readonly RetiredModel[] = [
  { id: "claude-sonnet-4-20250514", retiredOn: "2026-06-15", replacement: "sonnet" },
  { id: "claude-sonnet-4-0", retiredOn: "2026-06-15", replacement: "sonnet" },
  { id: "claude-opus-4-1-20250805", retiredOn: "2026-08-05", replacement: "opus" },
  { id: "claude-opus-4-1", retiredOn: "2026-08-05", replacement: "opus" },
  { id: "claude-opus-4-20250514", retiredOn: "2026-06-15", replacement: "opus" },
  { id: "claude-opus-4-0", retiredOn: "2026-06-15", replacement: "opus" },
  { id: "claude-3-5-haiku-20241022", retiredOn: "2026-02-19", replacement: "haiku" },
  { id: "claude-3-5-haiku-latest", retiredOn: "2026-02-19", replacement: "haiku" },
  { id: "claude-3-7-sonnet-20250219", retiredOn: "2026-02-19", replacement: "sonnet" },
  { id: "claude-3-7-sonnet-latest", retiredOn: "2026-02-19", replacement: "sonnet" },
  { id: "claude-3-5-sonnet-20241022", retiredOn: "2025-10-28", replacement: "sonnet" },
  { id: "claude-3-5-sonnet-20240620", retiredOn: "2025-10-28", replacement: "sonnet" },
  { id: "claude-3-5-sonnet-latest", retiredOn: "2025-10-28", replacement: "sonnet" },
];

/** What `resolveModel` found. A failure's `message` is written for the caller and names what to use instead. */
export type ModelResolution =
  | { readonly ok: true; readonly model: Model }
  | {
      readonly ok: false;
      readonly reason: "retired" | "unknown";
      readonly message: string;
      readonly replacement?: string;
    };

const byId: ReadonlyMap<string, Model> = new Map(MODELS.map((model) => [model.id, model]));
const retiredById: ReadonlyMap<string, RetiredModel> = new Map(RETIRED.map((model) => [model.id, model]));
const aliases: ReadonlyMap<string, string> = new Map(Object.entries(ALIASES));
const today = [...aliases].map(([alias, id]) => `${alias} (${id})`).join(", ");

/**
 * Finds a model by alias or exact id; surrounding space and case do not matter, and nothing is guessed from a similar
 * name. An announced retirement (`retiresOn`) is not enforced here: dates slip, and the API is the one to say when it
 * has come.
 */
export function resolveModel(nameOrId: string): ModelResolution {
  const name = nameOrId.trim().toLowerCase();
  const model = byId.get(aliases.get(name) ?? name);
  if (model) return { ok: true, model };
  const retired = retiredById.get(name);
  if (retired) {
    const replacement = ALIASES[retired.replacement];
    return {
      ok: false,
      reason: "retired",
      message: `The model ${retired.id} was retired on ${retired.retiredOn}. Use ${retired.replacement} (${replacement}) instead. Available: ${today}.`,
      replacement: retired.replacement,
    };
  }
  return {
    ok: false,
    reason: "unknown",
    message: `There is no model named ${JSON.stringify(nameOrId.slice(0, 100))}. Use one of ${today}, or a full model id.`,
  };
}
