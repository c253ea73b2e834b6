/**
 * An offline Messages API of version 2026-10-21 as one function from Request to Response. It answers when there is no
 * API key, and it is what the tests run against: it refuses what the real API refuses, and a script can make it fail in
 * every way the real one can.
 */
import type { Model } from "../models.ts";
import { PromptCache } from "./cache.ts";
import { modelById, modelPage } from "./catalog.ts";
import { compose } from "./compose.ts";
import { type Prefix, prefixOf, RunningHash } from "./prefix.ts";
import { defaultAnswer } from "./reply.ts";
import {
  betasOf,
  checkBody,
  checkHeaders,
  checkPromptSize,
  type Endpoint,
  MAX_BODY_BYTES,
  parseBody,
} from "./rules.ts";
import { type Fault, lastToolResults, lastUserText, type Script, type ScriptFunction, stepOf } from "./script.ts";
import { verifySignatures } from "./signature.ts";
import { abortError, ConnectionReset, eventStream, events, realSleep, type Sleep, type WireOptions } from "./stream.ts";
import { errorBody, isObject, type Json, messageBody, Rejection, type Reply, type WireUsage } from "./wire.ts";

export type { Fault, Script, ScriptBlock, ScriptCall, ScriptFunction, ScriptToolResult } from "./script.ts";
export type { Sleep, WireOptions } from "./stream.ts";
export type { Json, StopReason, WireUsage } from "./wire.ts";

/** How a simulator behaves. Everything is optional. */
export interface SimulatorOptions {
  /** Decides on answers; asked for every valid message request. */
  readonly script?: ScriptFunction;
  /** The time in epoch milliseconds: for cache lifetimes, retirements and the journal. Default `Date.now`. */
  readonly clock?: () => number;
  /** How to wait. Default: timers. */
  readonly sleep?: Sleep;
  /** Wait before the first byte of a message, in milliseconds. Default 0. */
  readonly latencyMs?: number;
  /** Wait after each delta of a stream, in milliseconds. Default 0. */
  readonly chunkDelayMs?: number;
  /** How many requests the journal keeps, the newest. Default 0: none. */
  readonly journalLimit?: number;
  /** How streams are cut into bytes. */
  readonly wire?: WireOptions;
  /** How many prefixes the prompt cache holds. Default 4,096. */
  readonly cacheEntries?: number;
}

/** One request, as the journal keeps it. An entry changes until its outcome is known. */
export interface JournalEntry {
  /** The time of arrival in epoch milliseconds. */
  readonly time: number;
  readonly method: string;
  readonly path: string;
  /** The `anthropic-beta` values. */
  readonly betas: readonly string[];
  /** The parsed body; null when there was none or it was no JSON. */
  body: Json | null;
  /** 0 until the response has begun, and for good when the caller was gone before. */
  status: number;
  readonly requestId: string;
  /** The message's usage, once `message_stop` (or the whole JSON) was sent. */
  usage: WireUsage | null;
  /** `pending` until it is known; `ok` for answered requests that are no messages. */
  outcome: "pending" | "ok" | "message_stop" | "error" | "cut" | "aborted";
}

/** An offline Messages API. */
export interface Simulator {
  /**
   * Answers one request. Rejects only as fetch would: with an AbortError when the request's signal fires, with a
   * TypeError for a `reset` fault.
   */
  handle(request: Request): Promise<Response>;
  /** The newest requests, oldest first. */
  readonly journal: readonly JournalEntry[];
}

/** How many different bodies the count of attempts remembers. */
const ATTEMPTS_KEPT = 1000;

/**
 * Per minute: requests, input and output tokens of the Start tier for Opus 5.5 and Sonnet 5.5 (models.dev, 2026-10-03).
 */
const RATE = { requests: 1000, "input-tokens": 2_000_000, "output-tokens": 400_000, tokens: 2_400_000 } as const;

const ROUTE = /\/v1\/(messages|messages\/count_tokens|models|models\/[^/]+)\/?$/;

/** A request that passed every check. */
interface Accepted {
  readonly body: Json;
  readonly model: Model;
  readonly prefix: Prefix;
}

/** Makes a simulator. It holds no timer while no message is on its way. */
export function createSimulator(options: SimulatorOptions = {}): Simulator {
  const clock = options.clock ?? Date.now;
  const sleep = options.sleep ?? realSleep;
  const cache = new PromptCache(options.cacheEntries);
  const journal: JournalEntry[] = [];
  const attempts = new Map<string, number>();
  let calls = 0;

  function record(request: Request, path: string): JournalEntry {
    const entry: JournalEntry = {
      time: clock(),
      method: request.method,
      path,
      betas: betasOf(request.headers).filter((beta) => beta !== ""),
      body: null,
      status: 0,
      requestId: `req_sim_${crypto.randomUUID().replaceAll("-", "")}`,
      usage: null,
      outcome: "pending",
    };
    const limit = options.journalLimit ?? 0;
    if (limit > 0) journal.push(entry);
    if (journal.length > limit) journal.shift();
    return entry;
  }

  async function handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const entry = record(request, url.pathname + url.search);
    const abort = new AbortController();
    const signal: AbortSignal | undefined = request.signal;
    if (signal?.aborted) abort.abort();
    signal?.addEventListener("abort", () => abort.abort());
    try {
      return await route(request, url, entry, abort);
    } catch (error) {
      if (error instanceof Rejection) return refuse(entry, error);
      entry.outcome = abort.signal.aborted ? "aborted" : "cut";
      throw error;
    }
  }

  async function route(request: Request, url: URL, entry: JournalEntry, abort: AbortController): Promise<Response> {
    const path = url.pathname.match(ROUTE)?.[1];
    if (path === undefined) throw new Rejection(404, "not_found_error", "Not Found");
    const method = path.startsWith("messages") ? "POST" : "GET";
    if (request.method !== method) throw new Rejection(405, "invalid_request_error", "Method Not Allowed");
    checkHeaders(request.headers);
    if (path === "messages") return answer(await accept(request, "messages", entry), request, entry, abort);
    if (path === "messages/count_tokens") {
      const { prefix } = await accept(request, "count_tokens", entry);
      return json(entry, { input_tokens: prefix.tokens });
    }
    if (path === "models") {
      const stages = [...url.searchParams].filter(([key]) => key.startsWith("lifecycle")).map(([, value]) => value);
      return json(entry, modelPage(stages, clock()));
    }
    const id = decodeURIComponent(path.slice("models/".length));
    const info = modelById(id, clock());
    if (!info) throw new Rejection(404, "not_found_error", `model: ${id}`);
    return json(entry, info);
  }

  async function accept(request: Request, endpoint: Endpoint, entry: JournalEntry): Promise<Accepted> {
    if (Number(request.headers.get("content-length")) > MAX_BODY_BYTES) {
      throw new Rejection(413, "request_too_large", "Request exceeds the maximum size");
    }
    const body = parseBody(new Uint8Array(await request.arrayBuffer()));
    entry.body = body;
    const betas = betasOf(request.headers);
    const model = checkBody(body, endpoint, betas, clock());
    const prefix = prefixOf(body);
    verifySignatures(prefix, model, dropsMismatches(body));
    if (endpoint === "messages") checkPromptSize(prefix.tokens, model);
    return { body, model, prefix };
  }

  async function answer(
    { body, model, prefix }: Accepted,
    request: Request,
    entry: JournalEntry,
    abort: AbortController,
  ): Promise<Response> {
    const directed = (await direct(body, request)) ?? {};
    const script = directed.blocks ? directed : { ...defaultAnswer(body, model.maxOutput), ...directed };
    const delay = script.delayMs ?? options.latencyMs ?? 0;
    if (delay > 0) await sleep(delay, abort.signal);
    if (abort.signal.aborted) throw abortError();
    if (script.fault?.kind === "status") return failure(entry, script.fault);

    const cached = cache.account(prefix, model, body, clock());
    const id = `msg_sim_${entry.requestId.slice("req_sim_".length)}`;
    const reply = compose({ body, model, prefix, cached, id }, script.blocks ?? [], script);
    if (body.stream !== true) return whole(entry, reply, script, abort);

    entry.status = 200;
    const pace = { chunkDelayMs: options.chunkDelayMs ?? 0, sleep, signal: abort.signal };
    const source = events(reply, script, pace, entry.requestId);
    const stream = eventStream(source, options.wire ?? {}, abort, (outcome) => {
      entry.outcome = outcome;
      if (outcome === "message_stop") entry.usage = reply.usage;
    });
    return new Response(stream, {
      headers: { ...headersOf(entry), "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
    });
  }

  async function direct(body: Json, request: Request): Promise<Script | undefined> {
    calls += 1;
    if (!options.script) return undefined;
    const key = new RunningHash().value(body).read();
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.delete(key);
    attempts.set(key, attempt);
    const [oldest] = attempts.keys();
    if (attempts.size > ATTEMPTS_KEPT && oldest !== undefined) attempts.delete(oldest);
    return options.script({
      body,
      headers: request.headers,
      lastUserText: lastUserText(body),
      toolResults: lastToolResults(body),
      step: stepOf(body),
      attempt,
      n: calls,
    });
  }

  /** A message in one piece. The faults of streams become what they look like there. */
  async function whole(entry: JournalEntry, reply: Reply, script: Script, abort: AbortController): Promise<Response> {
    const { fault } = script;
    if (fault?.kind === "error_event") throw new Rejection(statusOf(fault.type), fault.type, fault.message);
    if (fault?.kind === "reset") throw new ConnectionReset();
    if (fault?.kind === "stall") await sleep(2 ** 31 - 1, abort.signal);
    const response = json(entry, messageBody(reply));
    if (fault?.kind === "eof") {
      const text = await response.text();
      entry.outcome = "cut";
      return new Response(text.slice(0, Math.floor(text.length / 2)), response);
    }
    entry.outcome = "message_stop";
    entry.usage = reply.usage;
    return response;
  }

  function failure(entry: JournalEntry, fault: Fault & { kind: "status" }): Response {
    const extra: Record<string, string> = {};
    if (fault.retryAfterSeconds !== undefined) extra["retry-after"] = String(fault.retryAfterSeconds);
    if (fault.shouldRetry !== undefined) extra["x-should-retry"] = String(fault.shouldRetry);
    if (!fault.html) {
      return refuse(entry, new Rejection(fault.status, fault.type, fault.message, fault.errorCode ?? null), extra);
    }
    entry.status = fault.status;
    entry.outcome = "error";
    const page = `<html><head><title>${fault.status}</title></head><body><h1>${fault.message}</h1></body></html>`;
    return new Response(page, { status: fault.status, headers: { ...extra, "content-type": "text/html" } });
  }

  function refuse(entry: JournalEntry, rejection: Rejection, extra: Record<string, string> = {}): Response {
    entry.outcome = "error";
    entry.status = rejection.status;
    const body = errorBody(rejection.type, rejection.message, entry.requestId, rejection.errorCode);
    return Response.json(body, { status: rejection.status, headers: { ...headersOf(entry), ...extra } });
  }

  function json(entry: JournalEntry, body: Json): Response {
    entry.status = 200;
    entry.outcome = "ok";
    return Response.json(body, { headers: headersOf(entry) });
  }

  function headersOf(entry: JournalEntry): Record<string, string> {
    const headers: Record<string, string> = {
      "request-id": entry.requestId,
      "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
    };
    const reset = new Date(clock() + 1000).toISOString().replace(/\.\d+Z$/, "Z");
    for (const [kind, limit] of Object.entries(RATE)) {
      headers[`anthropic-ratelimit-${kind}-limit`] = String(limit);
      headers[`anthropic-ratelimit-${kind}-remaining`] = String(limit - (kind === "requests" ? 1 : 0));
      headers[`anthropic-ratelimit-${kind}-reset`] = reset;
    }
    return headers;
  }

  return { handle, journal };
}

function dropsMismatches(body: Json): boolean {
  const binding = isObject(body.thinking) ? body.thinking.block_binding : null;
  return isObject(binding) && binding.prefix_mismatch_behavior === "drop_block";
}

/** The status that goes with an error type when it comes before the stream. */
function statusOf(type: string): number {
  const statuses: Record<string, number> = {
    invalid_request_error: 400,
    authentication_error: 401,
    billing_error: 402,
    permission_error: 403,
    not_found_error: 404,
    rate_limit_error: 429,
    timeout_error: 504,
    overloaded_error: 529,
  };
  return statuses[type] ?? 500;
}
