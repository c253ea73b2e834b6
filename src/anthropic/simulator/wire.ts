/** Shapes of the Messages API (version 2026-10-21) that the simulator's parts hand to each other. */

/** A JSON object whose members are not known yet. */
export type Json = Record<string, unknown>;

/** True for a JSON object: not null, not an array. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The blocks of a `content` or `system` value: a string is shorthand for one text block. Anything that is no object is
 * left out.
 */
export function blocksOf(content: unknown): readonly Json[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return Array.isArray(content) ? content.filter(isObject) : [];
}

/** The messages of a body. Anything that is no object is left out. */
export function messagesOf(body: Json): readonly Json[] {
  return Array.isArray(body.messages) ? body.messages.filter(isObject) : [];
}

/** `usage` of a message: every key is always there. */
export interface WireUsage {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens: number | null;
  cache_read_input_tokens: number | null;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number } | null;
  output_tokens_details: { thinking_tokens: number } | null;
  server_tool_use: { web_search_requests: number; web_fetch_requests: number } | null;
  service_tier: "standard" | "priority" | "batch" | null;
  speed: "standard" | "fast" | null;
  inference_geo: string | null;
}

/** Why a message ended. */
export type StopReason =
  | "end_turn"
  | "max_tokens"
  | "stop_sequence"
  | "tool_use"
  | "pause_turn"
  | "refusal"
  | "model_context_window_exceeded";

/** A whole assistant message, before it is put on the wire. */
export interface Reply {
  readonly id: string;
  readonly model: string;
  readonly content: readonly Json[];
  readonly stopReason: StopReason;
  readonly stopSequence: string | null;
  readonly stopDetails: Json | null;
  readonly usage: WireUsage;
  /** By block index: the JSON text to send as a tool's input in place of its own. */
  readonly inputText: ReadonlyMap<number, string>;
}

/** A request that the API turns down: becomes the JSON error body with this status. */
export class Rejection extends Error {
  readonly status: number;
  readonly type: string;
  readonly errorCode: string | null;

  constructor(status: number, type: string, message: string, errorCode: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.errorCode = errorCode;
  }
}

/** A 400 `invalid_request_error`. */
export function invalid(message: string): Rejection {
  return new Rejection(400, "invalid_request_error", message);
}

/** The JSON body of an error, in a response as in an `error` event. */
export function errorBody(type: string, message: string, requestId: string, errorCode: string | null = null): Json {
  const error: Json = { type, message };
  if (errorCode !== null) error.details = { error_code: errorCode };
  return { type: "error", error, request_id: requestId };
}

/** The JSON body of a message. With `open`, as `message_start` carries it: no content yet, nothing decided. */
export function messageBody(reply: Reply, open = false): Json {
  return {
    id: reply.id,
    type: "message",
    role: "assistant",
    model: reply.model,
    content: open ? [] : reply.content,
    stop_reason: open ? null : reply.stopReason,
    stop_sequence: open ? null : reply.stopSequence,
    stop_details: open ? null : reply.stopDetails,
    container: null,
    diagnostics: null,
    usage: open ? { ...reply.usage, output_tokens: Math.min(1, reply.usage.output_tokens) } : reply.usage,
  };
}
