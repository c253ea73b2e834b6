/**
 * What can go wrong with a model call, and what is done about it. The SDK's own retries are off: they sleep in the
 * process, and repeat calls that can never succeed.
 */
import { APIConnectionError, APIError, APIUserAbortError } from "@anthropic-ai/sdk/error";
import { type Backoff, retryDelay } from "../platform/delivery.ts";
import type { Failure } from "../platform/errors.ts";

/** `retry`: try again, at the earliest after `afterMs`. `too_long`: the conversation no longer fits. `fatal`: never again. */
export type CallFailure =
  | { kind: "retry"; reason: RetryReason; afterMs: number | null; error: Failure }
  | { kind: "too_long"; error: Failure }
  | { kind: "fatal"; error: Failure }
  | { kind: "aborted" };

export type RetryReason = "rate_limited" | "overloaded" | "server_error" | "connection" | "cut_off" | "stalled";

/**
 * Tries of one model call in all. A stall costs the whole idle timeout each time, so it gets the fewest. What the API itself asks
 * to wait for costs nothing: by backoff alone, a limited call is tried for about an hour and an overloaded one for 35 minutes, which
 * is longer than incidents usually last.
 */
export const MAX_TRIES: Record<RetryReason, number> = {
  rate_limited: 60,
  overloaded: 40,
  server_error: 6,
  connection: 6,
  cut_off: 5,
  stalled: 3,
};

const BACKOFF: Backoff = { firstMs: 1_000, factor: 2, ceilingMs: 60_000 };

/**
 * A limit that is said to last longer is probed this often: it may be lifted, or the key changed, long before a time that somebody
 * named hours ago.
 */
const LONGEST_WAIT_MS = 5 * 60_000;

/**
 * How long to wait before try `failures + 1`, in ms: what the API asked for, with up to a tenth on top so that a fleet does
 * not come back at once; else exponential backoff with full jitter. `random` in 0..1.
 */
export function callRetryDelay(failures: number, afterMs: number | null, random: number): number {
  if (afterMs !== null) return Math.round(afterMs * (1 + random / 10));
  const ceiling = retryDelay(Math.max(1, failures), BACKOFF);
  return Math.round(ceiling * (0.5 + random / 2));
}

/** The stream ended before `message_stop`. */
export class CutOffError extends Error {}
/** Nothing came, not even a ping, for the idle timeout. */
export class StalledError extends Error {}

/** 429s that no waiting cures. */
const SPEND_LIMITS = new Set([
  "enforced_spend_limit_reached",
  "contract_spend_limit_reached",
  "linked_organization_spend_limit_reached",
]);

export function classify(error: unknown): CallFailure {
  if (error instanceof StalledError) return retry("stalled", "The Messages API stopped sending.", error);
  if (error instanceof CutOffError)
    return retry("cut_off", "The Messages API closed the stream before its end.", error);
  if (error instanceof APIUserAbortError) return { kind: "aborted" };
  if (error instanceof APIConnectionError) return retry("connection", "The Messages API can't be reached.", error);
  if (error instanceof APIError) return classifyApiError(error);
  if (error instanceof Error && error.name === "AbortError") return { kind: "aborted" };
  if (error instanceof SyntaxError)
    return retry("server_error", "The Messages API sent an event that can't be read.", error);
  // A socket that breaks in the middle of a body, or an event that is no JSON: the answer is lost either way.
  return retry("cut_off", "The Messages API's answer broke off.", error);
}

function classifyApiError(error: APIError): CallFailure {
  const said = messageOf(error);
  const details = { status: error.status ?? null, type: error.type ?? null, request_id: error.requestID ?? null };
  const status = error.status ?? statusOfType(error.type ?? null);
  const codes = [error.errorCode, (error.details as { error_code?: unknown } | undefined)?.error_code];
  const wait = error.headers?.get("x-should-retry");
  if (wait === "false" && (status === 429 || status === 529))
    return { kind: "fatal", error: upstream(`${adviceOf(status)} The Messages API said: ${said}`, details) };
  if (status === 429 && !codes.some((code) => typeof code === "string" && SPEND_LIMITS.has(code))) {
    return {
      kind: "retry",
      reason: "rate_limited",
      afterMs: retryAfter(error),
      error: upstream(`The Messages API limits the rate: ${said}`, details),
    };
  }
  if (status === 529) {
    return {
      kind: "retry",
      reason: "overloaded",
      afterMs: retryAfter(error),
      error: upstream(`The Messages API is overloaded: ${said}`, details),
    };
  }
  if (status === undefined || status >= 500 || status === 408 || status === 409 || wait === "true") {
    if (wait === "false")
      return { kind: "fatal", error: upstream(`The Messages API failed and says not to retry: ${said}`, details) };
    return {
      kind: "retry",
      reason: "server_error",
      afterMs: retryAfter(error),
      error: upstream(`The Messages API failed: ${said}`, details),
    };
  }
  if (status === 413 || (status === 400 && /prompt is too long|exceed.*context (window|limit)/i.test(said))) {
    return { kind: "too_long", error: upstream(`The conversation is too long for the model: ${said}`, details) };
  }
  return { kind: "fatal", error: upstream(`${adviceOf(status)} The Messages API said: ${said}`, details) };
}

function adviceOf(status: number): string {
  switch (status) {
    case 401:
      return "The Anthropic API key is not accepted: set a valid ANTHROPIC_API_KEY.";
    case 402:
      return "The Anthropic account can't be billed: check its billing settings or credit balance.";
    case 403:
      return "The Anthropic API key may not do this: check the key's workspace and permissions.";
    case 404:
      return "The model is not available to this key, or ANTHROPIC_BASE_URL is wrong: spawn an instance with another model or correct the URL.";
    case 429:
      return "The account's spend limit is reached: raise it in the Anthropic Console or wait for its next period.";
    default:
      return "The Messages API refused the request.";
  }
}

/** An error event in a stream has no status, only a type. */
function statusOfType(type: string | null): number | undefined {
  switch (type) {
    case "overloaded_error":
      return 529;
    case "rate_limit_error":
      return 429;
    case "invalid_request_error":
      return 400;
    case "authentication_error":
      return 401;
    case "billing_error":
      return 402;
    case "permission_error":
      return 403;
    case "not_found_error":
      return 404;
    default:
      return undefined;
  }
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date; in ms, between 1 s and 5 min. Null: it names no time to come. */
function retryAfter(error: APIError): number | null {
  const ms = boundedWait(Number(error.headers?.get("retry-after-ms") ?? Number.NaN));
  if (ms !== null) return ms;
  const text = error.headers?.get("retry-after") ?? "";
  const seconds = text === "" ? Number.NaN : Number(text);
  return boundedWait(Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000);
}

function boundedWait(ms: number): number | null {
  return ms > 0 ? Math.min(Math.max(ms, BACKOFF.firstMs), LONGEST_WAIT_MS) : null;
}

/** What the API itself said; an HTML page of a proxy is not worth repeating. */
function messageOf(error: APIError): string {
  const body = error.error as { error?: { message?: unknown }; message?: unknown } | undefined;
  const said = body?.error?.message ?? body?.message;
  if (typeof said === "string") return said.slice(0, 500);
  return error.status === undefined ? error.message.slice(0, 200) : `HTTP ${error.status} without an explanation.`;
}

/** Nobody was there to take the request: it was not billed. A connection that broke may have delivered it before. */
const UNREACHED = /refused|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|DNS|resolve host|not resolve/i;

/** The innermost message of an exception: the SDK's own says nothing but "Connection error". */
function causeOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  return inner instanceof Error ? inner.message.slice(0, 200) : "";
}

function upstream(message: string, details: Record<string, unknown>): Failure {
  return { code: "upstream_error", message, details };
}

function retry(reason: RetryReason, message: string, error: unknown): CallFailure {
  const cause = causeOf(error);
  const details = { ...(cause ? { cause } : {}), ...(UNREACHED.test(cause) ? { unreached: true } : {}) };
  return { kind: "retry", reason, afterMs: null, error: upstream(message, details) };
}
