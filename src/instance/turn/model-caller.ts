/**
 * A turn's model calls: admission by the Orchestrator, then the call, then its commit; each with everything on record.
 */
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type { CallOptions, Claude } from "../../anthropic/client.ts";
import { type CallFailure, callRetryDelay, classify, MAX_TRIES } from "../../anthropic/failure.ts";
import type { Reply } from "../../anthropic/reply.ts";
import type { Admission, ReservationRequest } from "../../contracts/model-call.ts";
import type { TranscriptEntry } from "../../contracts/transcript.ts";
import type { Failure } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { describe, type Log } from "../../platform/log.ts";
import { inSpan } from "../../platform/trace.ts";
import type { LiveAnswer } from "../reporting/live-stream.ts";
import { jobOf } from "../store/messages.ts";
import { keepStart, nextModelCall } from "../store/model-calls.ts";
import type { TurnStore } from "../store/turn-store.ts";
import type { TurnRow } from "../store/turns.ts";
import { beginCall, breakOff, fillUp, pause, postpone, waitForAdmission } from "./model-call-steps.ts";
import { promptBound } from "./prompt-size.ts";
import type { TurnListener } from "./turn-events.ts";
import { abandon, giveUp } from "./turn-transitions.ts";

/** An answer of the Orchestrator that takes this long waits for a slot: a round trip takes a few ms. */
const QUEUED_FROM_MS = 1_000;

/** Decides when a model call may be made. */
export interface AdmissionControl {
  /** Admits one call, or says when to ask again. Rejects when it can't be asked. */
  admit(request: ReservationRequest, signal: AbortSignal): Promise<Admission>;
  /** The admission that was asked for is no longer needed. */
  withdraw(): Promise<void>;
}

export interface ModelRequest {
  /** `max_tokens` is what the turn wants at most; what is granted takes its place. */
  body: MessageCreateParamsStreaming;
  /** The transcript's rows that `body` was made of. */
  entries: readonly TranscriptEntry[];
  betas: string[];
  /** What is done when the API refuses the request for what it says, in place of giving the turn up. */
  refused?: ((call: RefusedCall) => void) | undefined;
}

/** A model call that the API refused. */
export interface RefusedCall {
  callId: number;
  partial: Reply | null;
  error: Failure;
}

export interface ModelCallerParts {
  store: TurnStore;
  claude: Claude;
  admission: AdmissionControl;
  emit: TurnListener;
  log: Log;
  now(): number;
}

export class ModelCaller {
  readonly #parts: ModelCallerParts;
  #abort: AbortController | undefined;
  #live: LiveAnswer | null = null;
  /** Since when admission is requested, in ms since the epoch. */
  #askedAt: number | null = null;

  constructor(parts: ModelCallerParts) {
    this.#parts = parts;
  }

  /** The answer that is being written, until it is committed. */
  get live(): LiveAnswer | null {
    return this.#live;
  }

  /** Whether the turn waits for a slot of the concurrency limiter. */
  get queued(): boolean {
    return this.#askedAt !== null && this.#parts.now() - this.#askedAt >= QUEUED_FROM_MS;
  }

  /** Breaks off the call that is under way. */
  interrupt(): void {
    this.#abort?.abort(new Error("stopped"));
  }

  /**
   * One model call. `commit` is given the whole reply and writes what follows from it. When there is none (not admitted, a failure,
   * an interruption), the turn's rows say why and what comes next, and `commit` is not called.
   */
  async call(turn: TurnRow, request: ModelRequest, commit: (callId: number, reply: Reply) => void): Promise<void> {
    const { store, emit, now } = this.#parts;
    const maxTokens = await this.#admit(turn, request);
    if (maxTokens === null) return;
    const callId = beginCall(store, turn, maxTokens, now());
    try {
      const outcome = await this.#call(turn, { ...request.body, max_tokens: maxTokens }, request.betas, callId);
      if (!outcome.ok) {
        this.#live = null;
        return await this.#fail(turn, callId, request, outcome);
      }
      commit(callId, outcome.reply);
    } finally {
      this.#live = null;
    }
    await emit({ kind: "committed", call: { kind: "ok" } });
  }

  /** The most that the call may answer, in tokens; null: it may not be made now. */
  async #admit(turn: TurnRow, { body, entries }: ModelRequest): Promise<number | null> {
    const { store, admission, emit, log, now } = this.#parts;
    const { sql } = store.storage;
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const request: ReservationRequest = {
        attempt: nextModelCall(sql),
        model: store.spec.model,
        promptTokens: promptBound(sql, body, entries),
        maxTokens: store.spec.max_tokens,
        at: now(),
        job: jobOf(sql, turn.n),
      };
      this.#askedAt = now();
      emit({ kind: "admitting" });
      const answer = await unlessAborted(admission.admit(request, abort.signal), abort.signal);
      if (answer === null) {
        await admission.withdraw();
        return null;
      }
      if (answer.granted) return answer.maxTokens;
      if (answer.until !== null) waitForAdmission(store, turn, { at: answer.until, reason: answer.reason }, now());
      // A job's cap is never raised: there is nothing to wait for.
      else if (isJobId(String(answer.error.details?.scope))) abandon(store, "failed", answer.error, now());
      else pause(store, turn, answer.error, now());
      await emit({ kind: "committed" });
      return null;
    } catch (error) {
      log.warning("admit.failed", { error: describe(error) });
      const unreachable: Failure = { code: "internal", message: "The instance's Orchestrator can't be reached." };
      const failure = { kind: "retry", reason: "connection", afterMs: null, error: unreachable } as const;
      await this.#postpone(turn, null, null, failure);
      return null;
    } finally {
      this.#askedAt = null;
      this.#abort = undefined;
    }
  }

  /** From the request to the whole answer, or what went wrong. */
  async #call(turn: TurnRow, body: MessageCreateParamsStreaming, betas: string[], callId: number): Promise<Outcome> {
    const { store, claude, emit } = this.#parts;
    const live: LiveAnswer = { callId, n: turn.n, step: turn.step + 1, text: "" };
    this.#live = live;
    const abort = new AbortController();
    this.#abort = abort;
    let partial: Reply | null = null;
    try {
      const options: CallOptions = {
        signal: abort.signal,
        betas,
        onEvent: (event, reply, requestId) => {
          partial = reply;
          if (event.type === "message_start") keepStart(store.storage.sql, callId, reply, requestId);
          if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
            live.text += event.delta.text;
            emit({ kind: "streamed" });
          }
        },
      };
      const { reply } = await inSpan(
        `chat ${body.model}`,
        () => ({
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "anthropic",
          "gen_ai.request.model": body.model,
          "gen_ai.conversation.id": store.spec.instance_id,
        }),
        () => claude.call(body, options),
      );
      return { ok: true, reply };
    } catch (error) {
      const failure: CallFailure = abort.signal.aborted ? { kind: "aborted" } : classify(error);
      return { ok: false, failure, partial };
    } finally {
      this.#abort = undefined;
    }
  }

  async #fail(
    turn: TurnRow,
    callId: number,
    request: ModelRequest,
    { failure, partial }: Extract<Outcome, { ok: false }>,
  ): Promise<void> {
    const { store, log, emit, now } = this.#parts;
    if (failure.kind === "aborted") {
      breakOff(store, callId, turn, partial, now());
      return emit({ kind: "committed", call: { kind: "failed" } });
    }
    // That it failed is in the event log. What the API said of it can quote the conversation.
    log.debug("model_call.error", {
      kind: failure.kind,
      error: failure.error.code,
      status: Number(failure.error.details?.status ?? 0),
      cause: describe(failure.error.details?.cause ?? ""),
    });
    if (failure.kind === "retry" && turn.failures + 1 < MAX_TRIES[failure.reason]) {
      return this.#postpone(turn, callId, partial, failure);
    }
    if (failure.kind === "too_long") {
      return fillUp(store, callId, turn, partial, failure.error, now());
    }
    const { error } = failure;
    if (request.refused && error.details?.type === "invalid_request_error") request.refused({ callId, partial, error });
    else giveUp(store, callId, turn, partial, error, now());
    await emit({ kind: "committed", call: { kind: "failed" } });
  }

  async #postpone(
    turn: TurnRow,
    callId: number | null,
    reply: Reply | null,
    failure: Extract<CallFailure, { kind: "retry" }>,
  ): Promise<void> {
    const { store, emit, now } = this.#parts;
    const at = now() + callRetryDelay(turn.failures + 1, failure.afterMs, Math.random());
    postpone(store, callId, turn, { at, reason: failure.reason, error: failure.error, reply }, now());
    const pushedBack = failure.reason === "rate_limited" || failure.reason === "overloaded";
    // Only a time that the API named holds for everybody; a backoff of our own is this turn's affair.
    const until = failure.afterMs === null ? now() : at;
    await emit({ kind: "committed", call: pushedBack ? { kind: "pushed_back", until } : { kind: "failed" } });
  }
}

type Outcome = { ok: true; reply: Reply } | { ok: false; failure: CallFailure; partial: Reply | null };

/** The work's result, or null as soon as the signal is aborted. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  return Promise.race([
    work,
    new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true })),
  ]);
}
