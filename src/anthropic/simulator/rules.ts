/**
 * The checks that the real API makes on a request, so that a client that breaks its contract fails here as it would
 * there: same status, same `error.type`, and wording close to the real one.
 */
import { own } from "../../platform/own.ts";
import { MODELS, type Model } from "../models.ts";
import { checkOutputSchemas, type OutputSchema } from "./schemas.ts";
import { checkMessages, checkText } from "./turns.ts";
import { invalid, isObject, type Json, Rejection } from "./wire.ts";

/** The one API version that the simulator speaks. */
const API_VERSION = "2026-10-21";

/** Largest request body of the Messages API: 32 MB (Anthropic's "Request size limits"). */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Most messages in one request (`MessageCreateParams.messages` of SDK 1.12.0). */
const MAX_MESSAGES = 100_000;

/** Most cache breakpoints in one request (Anthropic's prompt caching guide). */
const MAX_BREAKPOINTS = 4;

/** Most tools with `strict` in one request (Anthropic's "Structured outputs"). */
const MAX_STRICT_TOOLS = 20;

/** The endpoints that take a conversation. */
export type Endpoint = "messages" | "count_tokens";

const COUNT_KEYS = [
  "cache_control",
  "messages",
  "model",
  "output_config",
  "speed",
  "system",
  "thinking",
  "tool_choice",
  "tools",
];

const MESSAGE_KEYS = [
  ...COUNT_KEYS,
  "container",
  "diagnostics",
  "inference_geo",
  "max_tokens",
  "metadata",
  "service_tier",
  "stop_sequences",
  "stream",
];

/** Keys of the beta namespace, each with the beginnings of the `anthropic-beta` values that unlock it. */
const BETA_KEYS: Readonly<Record<string, readonly string[]>> = {
  billing_policy: ["user-profiles-billing-"],
  compaction: ["compact-2026-09-04"],
  context_management: ["context-management-", "compact-2026-01-12"],
  fallback_credit_token: ["fallback-credit-"],
  fallbacks: ["server-side-fallback-"],
  mcp_servers: ["mcp-client-"],
  output_format: ["structured-outputs-"],
  thread: ["message-threads-"],
};

/** Removed in 2026-10-21 with their own hint. */
const SAMPLING = ["temperature", "top_p", "top_k"];

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,128}$/;
const TOOL_KEYS = new Set([
  "allowed_callers",
  "cache_control",
  "defer_loading",
  "description",
  "eager_input_streaming",
  "input_examples",
  "input_schema",
  "name",
  "strict",
  "type",
]);
/** Tools that Anthropic defines: any version of these. */
const TYPED_TOOL =
  /^(bash|text_editor|memory|web_search|web_fetch|code_execution|tool_search_tool_(regex|bm25)|computer_toolset|browser_toolset)_\d{8}$/;

const WEB_TOOL = /^(web_search|web_fetch)_\d{8}$/;
const WEB_KEYS = [
  "allowed_callers",
  "allowed_domains",
  "blocked_domains",
  "cache_control",
  "defer_loading",
  "max_uses",
  "name",
  "strict",
  "type",
];
/** Of any version (`WebSearchTool*` and `WebFetchTool*` of SDK 1.12.0). */
const WEB_SEARCH_KEYS = [...WEB_KEYS, "response_inclusion", "user_location"];
const WEB_FETCH_KEYS = [
  ...WEB_KEYS,
  "citations",
  "max_content_tokens",
  "response_inclusion",
  "url_sources",
  "use_cache",
];

/** Checks version and authentication; throws a `Rejection`. */
export function checkHeaders(headers: Headers): void {
  const bearer = headers.get("authorization")?.match(/^Bearer\s+\S/i);
  if (!bearer && !headers.get("x-api-key")) {
    throw new Rejection(401, "authentication_error", "x-api-key header is required");
  }
  const version = headers.get("anthropic-version");
  if (!version) throw invalid("anthropic-version: header is required");
  if (version !== API_VERSION) {
    throw invalid(
      `anthropic-version: "${version}" is not a valid version here; the simulator speaks ${API_VERSION} only`,
    );
  }
}

/** The values of the `anthropic-beta` header. */
export function betasOf(headers: Headers): readonly string[] {
  return (headers.get("anthropic-beta") ?? "").split(",").map((beta) => beta.trim());
}

/** Reads a body's bytes as JSON; throws the 400 or 413 that the API would answer. */
export function parseBody(bytes: Uint8Array): Json {
  if (bytes.byteLength > MAX_BODY_BYTES) {
    throw new Rejection(413, "request_too_large", "Request exceeds the maximum size");
  }
  let text: string;
  let body: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(`The request body is not valid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  // A well-formed serialiser writes a surrogate as an escape only when it stands alone, so the walk is rare.
  if (/\\u[dD][89a-fA-F]/.test(text) && !isWellFormed(body)) {
    throw invalid("The request body is not valid JSON: no low surrogate in string");
  }
  if (!isObject(body)) throw invalid("Input should be a valid dictionary");
  return body;
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (Array.isArray(value)) return value.every(isWellFormed);
  if (!isObject(value)) return true;
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item));
}

/**
 * Checks everything in a body that needs no token count; throws a `Rejection`. `now` in epoch milliseconds decides on
 * retirements.
 */
export function checkBody(body: Json, endpoint: Endpoint, betas: readonly string[], now: number): Model {
  checkKeys(body, endpoint, betas);
  const model = modelOf(body.model, now);
  if (endpoint === "messages") checkMaxTokens(body, model);
  if (!Array.isArray(body.messages)) throw invalid("messages: Field required");
  if (body.messages.length === 0) throw invalid("messages: at least one message is required");
  if (body.messages.length > MAX_MESSAGES) throw invalid(`messages: at most ${MAX_MESSAGES} messages are allowed`);
  checkSystem(body.system);
  const names = checkTools(body.tools, betas);
  checkThinking(body, model, betas);
  checkToolChoice(body, model, names);
  checkOutputConfig(body, model, betas);
  checkOutputSchemas(outputSchemasOf(body));
  checkStopSequences(body.stop_sequences);
  checkMessages(body.messages, betas, isObject(body.compaction));
  checkBreakpoints(body);
  return model;
}

/** Throws when the prompt alone is larger than the model's window. */
export function checkPromptSize(tokens: number, model: Model): void {
  if (tokens > model.contextWindow) {
    throw invalid(`prompt is too long: ${tokens} tokens > ${model.contextWindow} maximum`);
  }
}

function checkKeys(body: Json, endpoint: Endpoint, betas: readonly string[]): void {
  const known = endpoint === "messages" ? MESSAGE_KEYS : COUNT_KEYS;
  for (const key of Object.keys(body)) {
    if (known.includes(key)) continue;
    if (SAMPLING.includes(key)) {
      throw invalid(`${key}: Extra inputs are not permitted. \`${key}\` was removed in API version ${API_VERSION}.`);
    }
    const unlockedBy = own(BETA_KEYS, key);
    if (unlockedBy?.some((start) => betas.some((beta) => beta.startsWith(start)))) continue;
    throw invalid(`${key}: Extra inputs are not permitted`);
  }
  if (body.stream !== undefined && typeof body.stream !== "boolean")
    throw invalid("stream: Input should be a valid boolean");
  if (body.service_tier !== undefined && body.service_tier !== "auto" && body.service_tier !== "standard_only") {
    throw invalid("service_tier: Input should be 'auto' or 'standard_only'");
  }
  if (body.metadata !== undefined && !isObject(body.metadata))
    throw invalid("metadata: Input should be a valid dictionary");
}

function modelOf(id: unknown, now: number): Model {
  if (id === undefined) throw invalid("model: Field required");
  if (typeof id !== "string") throw invalid("model: Input should be a valid string");
  const model = MODELS.find((candidate) => candidate.id === id);
  if (!model || (model.retiresOn !== null && Date.parse(model.retiresOn) <= now)) {
    throw new Rejection(404, "not_found_error", `model: ${id}`);
  }
  return model;
}

function checkMaxTokens(body: Json, model: Model): void {
  const max = body.max_tokens;
  if (max === undefined) throw invalid("max_tokens: Field required");
  if (typeof max !== "number" || !Number.isInteger(max)) throw invalid("max_tokens: Input should be a valid integer");
  if (max < 0) throw invalid("max_tokens: Input should be greater than or equal to 0");
  if (max === 0 && body.stream === true)
    throw invalid("max_tokens: 0 (cache pre-warming) cannot be combined with `stream`");
  if (max > model.maxOutput) {
    throw invalid(
      `max_tokens: ${max} > ${model.maxOutput}, which is the maximum allowed number of output tokens for ${model.id}`,
    );
  }
}

function checkSystem(system: unknown): void {
  if (system === undefined || typeof system === "string") return;
  if (!Array.isArray(system)) throw invalid("system: Input should be a valid string or list");
  for (const [index, block] of system.entries()) {
    if (!isObject(block) || block.type !== "text") throw invalid(`system.${index}: Input should be a text block`);
    checkText(block, `system.${index}`, true);
  }
}

function checkTools(tools: unknown, betas: readonly string[]): ReadonlySet<string> {
  const names = new Set<string>();
  if (tools === undefined) return names;
  if (!Array.isArray(tools)) throw invalid("tools: Input should be a valid list");
  for (const [index, tool] of tools.entries()) {
    if (!isObject(tool)) throw invalid(`tools.${index}: Input should be a valid dictionary`);
    const { type, name } = tool;
    if (typeof type === "string" && type !== "custom") {
      const mcp = type === "mcp_toolset" && betas.some((beta) => beta.startsWith("mcp-client-"));
      if (!mcp && !TYPED_TOOL.test(type))
        throw invalid(`tools.${index}: Input tag '${type}' found using 'type' does not match any of the expected tags`);
      const web = WEB_TOOL.exec(type);
      if (web) checkWebTool(tool, web[1] ?? "", `tools.${index}`);
      if (typeof name !== "string") continue;
    } else checkCustomTool(tool, `tools.${index}.custom`);
    if (names.has(String(name))) throw invalid("tools: Tool names must be unique.");
    names.add(String(name));
  }
  return names;
}

function checkWebTool(tool: Json, name: string, at: string): void {
  const known = name === "web_search" ? WEB_SEARCH_KEYS : WEB_FETCH_KEYS;
  const extra = Object.keys(tool).find((key) => !known.includes(key));
  if (extra) throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
  if (tool.name !== name) throw invalid(`${at}.name: Input should be '${name}'`);
  const uses = tool.max_uses;
  if (uses !== undefined && uses !== null && !(typeof uses === "number" && Number.isInteger(uses) && uses > 0)) {
    throw invalid(`${at}.max_uses: Input should be greater than 0`);
  }
  if (tool.allowed_domains && tool.blocked_domains) {
    throw invalid(`${at}: only one of \`allowed_domains\` and \`blocked_domains\` may be given`);
  }
}

function checkCustomTool(tool: Json, at: string): void {
  const extra = Object.keys(tool).find((key) => !TOOL_KEYS.has(key));
  if (extra) throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
  if (tool.name === undefined) throw invalid(`${at}.name: Field required`);
  if (typeof tool.name !== "string" || !TOOL_NAME.test(tool.name)) {
    throw invalid(`${at}.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`);
  }
  if (tool.input_schema === undefined) throw invalid(`${at}.input_schema: Field required`);
  if (!isObject(tool.input_schema)) throw invalid(`${at}.input_schema: Input should be a valid dictionary`);
  if (tool.input_schema.type === undefined) throw invalid(`${at}.input_schema.type: Field required`);
  if (tool.input_schema.type !== "object") throw invalid(`${at}.input_schema.type: Input should be 'object'`);
}

function checkThinking(body: Json, model: Model, betas: readonly string[]): void {
  const thinking = body.thinking;
  if (thinking === undefined) return;
  if (!isObject(thinking)) throw invalid("thinking: Input should be a valid dictionary");
  const type = model.thinkingTypes.find((candidate) => candidate === thinking.type);
  if (!type) {
    throw invalid(
      `thinking.type: "${String(thinking.type)}" is not supported for this model. Supported: ${model.thinkingTypes.join(", ")}.`,
    );
  }
  if (type === "enabled") {
    const budget = thinking.budget_tokens;
    if (typeof budget !== "number" || budget < 1024) {
      throw invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
    }
    if (typeof body.max_tokens === "number" && budget >= body.max_tokens) {
      throw invalid("`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
  }
  if (thinking.block_binding !== undefined && !betas.includes("thinking-binding-controls-2026-08-01")) {
    throw invalid("thinking.block_binding: Extra inputs are not permitted");
  }
  if (thinking.display === "updates" && !betas.includes("thinking-display-updates-2026-08-18")) {
    throw invalid("thinking.display: Input should be 'summarized' or 'omitted'");
  }
}

function checkToolChoice(body: Json, model: Model, names: ReadonlySet<string>): void {
  const choice = body.tool_choice;
  if (choice === undefined) return;
  if (!isObject(choice)) throw invalid("tool_choice: Input should be a valid dictionary");
  const type = String(choice.type);
  if (!["auto", "any", "tool", "none"].includes(type)) {
    throw invalid(
      `tool_choice: Input tag '${type}' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'`,
    );
  }
  if (!Array.isArray(body.tools) || body.tools.length === 0) {
    throw invalid("tool_choice may only be specified while providing tools.");
  }
  if (type === "auto" || type === "none") return;
  if (!model.forcedToolChoice) {
    throw invalid(
      `tool_choice: forced tool use ("any" or "tool") is not supported for ${model.id}. Use "auto" or "none".`,
    );
  }
  if (isObject(body.thinking) && (body.thinking.type === "adaptive" || body.thinking.type === "enabled")) {
    throw invalid("Thinking may not be enabled when tool_choice forces tool use.");
  }
  if (type === "tool" && !names.has(String(choice.name))) {
    throw invalid(`Tool '${String(choice.name)}' not found in provided tools`);
  }
}

function checkOutputConfig(body: Json, model: Model, betas: readonly string[]): void {
  const config = body.output_config;
  if (config === undefined) return;
  if (!isObject(config)) throw invalid("output_config: Input should be a valid dictionary");
  for (const key of Object.keys(config)) {
    const budget = key === "task_budget" && betas.some((beta) => beta.startsWith("task-budgets-"));
    if (key !== "effort" && key !== "format" && !budget)
      throw invalid(`output_config.${key}: Extra inputs are not permitted`);
  }
  const { effort, format } = config;
  if (effort !== undefined && effort !== null) {
    if (!["low", "medium", "high", "xhigh", "max"].includes(String(effort))) {
      throw invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
    }
    if (!model.efforts.some((level) => level === effort)) {
      throw invalid(`output_config.effort: "${String(effort)}" is not supported for ${model.id}`);
    }
    const off =
      isObject(body.thinking) && (body.thinking.type === "disabled" || body.thinking.type === "between_tools");
    if (off && model.thinkingOffCapsEffort && (effort === "xhigh" || effort === "max")) {
      throw invalid(`output_config.effort: "${effort}" cannot be used with thinking turned off. Use "high" or lower.`);
    }
  }
  if (format === undefined || format === null) return;
  if (!isObject(format) || format.type !== "json_schema")
    throw invalid("output_config.format.type: Input should be 'json_schema'");
  if (!isObject(format.schema)) throw invalid("output_config.format.schema: Field required");
}

/** What structured outputs have to compile: the schemas of strict tools, and that of the answer. */
function outputSchemasOf({ tools, output_config: config }: Json): OutputSchema[] {
  const strict = (Array.isArray(tools) ? tools.filter(isObject) : []).filter((tool) => tool.strict === true);
  if (strict.length > MAX_STRICT_TOOLS) {
    throw invalid(`tools: at most ${MAX_STRICT_TOOLS} tools with strict: true are allowed. Found ${strict.length}.`);
  }
  const schemas = strict.flatMap(({ input_schema: schema, name }) =>
    isObject(schema) ? [{ schema, at: `tools.${String(name)}.input_schema` }] : [],
  );
  const format = isObject(config) ? config.format : undefined;
  if (!isObject(format) || !isObject(format.schema)) return schemas;
  return [...schemas, { schema: format.schema, at: "output_config.format.schema" }];
}

function checkStopSequences(sequences: unknown): void {
  if (sequences === undefined) return;
  if (!Array.isArray(sequences)) throw invalid("stop_sequences: Input should be a valid list");
  for (const [index, sequence] of sequences.entries()) {
    if (typeof sequence !== "string") throw invalid(`stop_sequences.${index}: Input should be a valid string`);
    if (sequence.trim() === "") throw invalid(`stop_sequences: each stop sequence must contain non-whitespace`);
  }
}

function checkBreakpoints(body: Json): void {
  let found = 0;
  let short = false;
  const visit = (control: unknown, at: string) => {
    if (control === undefined || control === null) return;
    if (!isObject(control) || control.type !== "ephemeral")
      throw invalid(`${at}.cache_control.type: Input should be 'ephemeral'`);
    const { ttl } = control;
    if (ttl !== undefined && ttl !== "5m" && ttl !== "1h")
      throw invalid(`${at}.cache_control.ttl: Input should be '5m' or '1h'`);
    if (ttl === "1h" && short) {
      throw invalid(
        `${at}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block`,
      );
    }
    short ||= ttl !== "1h";
    found += 1;
  };
  const each = (list: unknown, at: string) => {
    if (!Array.isArray(list)) return;
    for (const [index, block] of list.entries()) {
      if (!isObject(block) || block.cache_control === undefined) continue;
      if (block.type === "thinking") throw invalid(`${at}.${index}.cache_control: Extra inputs are not permitted`);
      visit(block.cache_control, `${at}.${index}`);
    }
  };
  each(body.tools, "tools");
  each(body.system, "system");
  if (Array.isArray(body.messages)) {
    for (const [index, message] of body.messages.entries()) {
      if (isObject(message)) each(message.content, `messages.${index}.content`);
    }
  }
  visit(body.cache_control, "");
  if (found > MAX_BREAKPOINTS) {
    throw invalid(`A maximum of ${MAX_BREAKPOINTS} blocks with cache_control may be provided. Found ${found}.`);
  }
}
