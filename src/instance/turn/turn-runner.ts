/**
 * The turn runner of an instance: asks `nextAction` what comes next, does it, and asks again. It is detached from every
 * caller, holds nothing that rows don't, and may die at any point.
 */
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type { CallOptions, Claude } from "../../anthropic/client.ts";
import { type CallFailure, classify, MAX_TRIES, retryDelay } from "../../anthropic/failure.ts";
import type { Reply } from "../../anthropic/reply.ts";
import { requestOf } from "../../anthropic/request.ts";
import type { Config } from "../../contracts/config.ts";
import type { Asked, InstanceTool } from "../../contracts/instance-tool.ts";
import type { Admission, CallOutcome, ReservationRequest } from "../../contracts/model-call.ts";
import type { TranscriptEntry } from "../../contracts/transcript.ts";
import type { WorkspaceApi } from "../../contracts/workspace.ts";
import type { Failure } from "../../platform/errors.ts";
import { isJobId } from "../../platform/ids.ts";
import { describe, type Log } from "../../platform/log.ts";
import type { Secrets } from "../../platform/secrets.ts";
import { first } from "../../platform/sqlite.ts";
import { inSpan } from "../../platform/trace.ts";
import type { LiveAnswer } from "../reporting/live-stream.ts";
import { senderTrace, traceparentOfCall } from "../reporting/spans.ts";
import { jobOf } from "../store/inbox.ts";
import { newestEvent } from "../store/instance-row.ts";
import { beginCall, breakOff, nextAttempt, noteStart, park, pause, postpone } from "../store/model-calls.ts";
import * as questions from "../store/questions.ts";
import { parkCall, showParked } from "../store/suspended-calls.ts";
import { appendResults, beginTool, type CallRow, callsOf, denyTool, endTool } from "../store/tool-calls.ts";
import { textOf } from "../store/transcript.ts";
import { fenced, openTurn, Superseded, type TurnRow, type TurnStore } from "../store/turn-store.ts";
import {
  betasOf,
  COMPACTION_BETA,
  commitCompaction,
  compactable,
  compactionRequest,
  contextFull,
} from "./compaction.ts";
import { commitAnswer } from "./model-answers.ts";
import { nextAction, type TurnAction } from "./next-action.ts";
import { promptBound } from "./prompt-size.ts";
import { runTool } from "./run-tool.ts";
import { apiSchema, checkStructured } from "./structured-output.ts";
import { turnRows } from "./turn-rows.ts";
import * as turns from "./turn-transitions.ts";

/** Tool calls of one answer that run at once: an object gets 6 connections, and the model call may hold one. */
const PARALLEL_TOOLS = 5;

/** Runners of one turn that died without a committed step in between; then something about the turn itself kills them. */
const MAX_CRASHES = 20;

/** An answer of the Orchestrator that takes this long waits for a place: a round trip takes a few ms. */
const HELD_FROM_MS = 1_000;

export interface TurnRunnerParts {
  store: TurnStore;
  claude: Claude;
  tools: ReadonlyMap<string, InstanceTool>;
  /** All tools that instances of this Worker can have. */
  allTools: readonly InstanceTool[];
  log: Log;
  workspace: WorkspaceApi;
  secrets(): Promise<Secrets>;
  now(): number;
  /** Before a model call: the registry's leave, or when to ask again. Throws when it can't be asked. */
  admit(ask: ReservationRequest, signal: AbortSignal): Promise<Admission>;
  /** The leave that was asked for is no longer needed. */
  withdraw(): Promise<void>;
  /** After a model call, with how it went, and after the end of a turn: the registry and whoever waits are told. */
  committed(call?: CallOutcome): Promise<void>;
  /** There is more of the live answer. */
  streamed(): void;
  /** Wake this runner again at a time (ms since the epoch); null: it is woken by what it waits for. */
  wakeAt(time: number | null): Promise<void>;
  env: Env;
  config: Config;
  /** Nothing is left to do. */
  rested(): Promise<void>;
  /** The turn on message `n` has ended, and is to be traced; null: none is. */
  turnEnded: ((n: number) => void) | null;
}

export class TurnRunner {
  readonly #parts: TurnRunnerParts;
  #running: Promise<void> | undefined;
  #abort: AbortController | undefined;
  #live: LiveAnswer | null = null;
  /** What the instance was told while tools run: one of them may be about to park on it. */
  #heard: Set<string> | null = null;
  /** Since when a model call's leave is asked for, in ms since the epoch. */
  #askedAt: number | null = null;

  constructor(parts: TurnRunnerParts) {
    this.#parts = parts;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** The answer that is being written, for whoever follows it. */
  get live(): LiveAnswer | null {
    return this.#live;
  }

  /** Whether the turn is held at the gate: leave is given at once, or when there is a place. */
  get held(): boolean {
    return this.#askedAt !== null && this.#parts.now() - this.#askedAt >= HELD_FROM_MS;
  }

  /** Starts the turn on a message that was just taken in, if nothing is under way: then both are one commit. */
  startTurn(): void {
    if (this.#running) return;
    const { store, now } = this.#parts;
    const action = nextAction(turnRows(store, now()));
    if (action.kind === "start") turns.start(store, action.n, now());
  }

  /** Sees to it that the runner runs. Returns its end, which nobody has to wait for; it never rejects. */
  ensureRunning(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Something that a tool may be about to wait for has happened. */
  heard(id: string): void {
    this.#heard?.add(id);
  }

  /** Breaks off what is under way, so that the runner looks at the rows again. */
  interrupt(): void {
    this.#abort?.abort(new Error("stopped"));
  }

  async #run(): Promise<void> {
    const { store, log, now } = this.#parts;
    try {
      for (;;) {
        const action = nextAction(turnRows(store, now()));
        if (action.kind === "pause") {
          await this.#parts.rested();
          if (nextAction(turnRows(store, now())).kind === "pause") return;
          continue;
        }
        if (action.kind === "rest") {
          await this.#parts.rested();
          // A message may have come in meanwhile.
          if (nextAction(turnRows(store, now())).kind === "rest") return;
          continue;
        }
        if (action.kind === "wait") {
          await this.#parts.wakeAt(action.until);
          // Somebody may have stopped the turn meanwhile.
          if (nextAction(turnRows(store, now())).kind === "wait") return;
          continue;
        }
        if (action.kind === "park") {
          showParked(store, this.#turn(), action, now());
          await this.#parts.wakeAt(action.until);
          if (nextAction(turnRows(store, now())).kind === "park") return;
          continue;
        }
        const open = this.#parts.turnEnded && openTurn(store.storage.sql)?.n;
        await this.#do(action);
        if (open != null && openTurn(store.storage.sql)?.n !== open) this.#parts.turnEnded?.(open);
      }
    } catch (error) {
      if (error instanceof Superseded) return;
      // The alarm that is armed while a turn is open starts the next runner, which recovers from the rows.
      log.error("drive.failed", { error: describe(error) });
    } finally {
      this.#running = undefined;
    }
  }

  async #do(action: Exclude<TurnAction, { kind: "rest" | "pause" | "wait" | "park" }>): Promise<void> {
    const { store, tools, now, committed } = this.#parts;
    switch (action.kind) {
      case "start":
        return turns.start(store, action.n, now());
      case "recover":
        turns.recover(store, (name) => tools.get(name)?.repeatable === true, now());
        return this.#giveUpAfterCrashes();
      case "call_model":
        return this.#callModel(this.#turn());
      case "compact":
        return this.#compact(this.#turn());
      case "run_tools":
        return this.#runTools(this.#turn(), action.ids);
      case "append_results":
        return appendResults(store, this.#turn(), now());
      case "cancel":
        turns.abandon(
          store,
          "cancelled",
          { code: "cancelled", message: `The turn was stopped: ${action.reason}.` },
          now(),
        );
        return committed();
      case "fail":
        turns.abandon(store, "failed", action.error, now());
        return committed();
    }
  }

  #turn(): TurnRow {
    const turn = openTurn(this.#parts.store.storage.sql);
    if (!turn) throw new Superseded("the turn is closed");
    return turn;
  }

  async #giveUpAfterCrashes(): Promise<void> {
    const { store, now, committed } = this.#parts;
    if (this.#turn().crashes < MAX_CRASHES) return;
    const error: Failure = {
      code: "internal",
      message: `The turn was interrupted ${MAX_CRASHES} times without getting any further, and was given up. Send the message again.`,
    };
    turns.abandon(store, "failed", error, now());
    await committed();
  }

  async #callModel(turn: TurnRow): Promise<void> {
    const { store, claude, now, committed } = this.#parts;
    const schema = this.#schemaOf(turn.n);
    const entries = store.transcript.entries();
    const body = requestOf(store.spec, entries, {
      responseSchema: schema ? apiSchema(schema) : null,
      simulated: claude.simulated,
    });
    const outcome = await this.#attempt(turn, body, entries, betasOf(entries));
    if (!outcome) return;
    if (!outcome.ok) return this.#failed(turn, outcome);
    const structured = schema ? checkStructured(schema, textOf(outcome.reply.blocks)) : null;
    commitAnswer(store, outcome.attempt, turn, outcome.reply, { simulated: claude.simulated, structured }, now());
    this.#live = null;
    await committed({ kind: "ok" });
  }

  /** Has what came before the turn summarized, so that the turn can go on. */
  async #compact(turn: TurnRow): Promise<void> {
    const { store, now, committed } = this.#parts;
    const before = compactable(store, turn);
    const fail = (why: string) => turns.abandon(store, "failed", contextFull(why), now());
    if (turn.compactions > 0) fail("it was summarized once already in this turn.");
    else if (before.length === 0) fail("the message alone is too long.");
    else {
      const outcome = await this.#attempt(
        turn,
        compactionRequest(store, before, this.#parts.claude.simulated),
        before,
        [COMPACTION_BETA],
      );
      if (!outcome) return;
      if (!outcome.ok) return this.#failed(turn, outcome);
      if (!commitCompaction(store, outcome.attempt, turn, outcome.reply, now())) {
        const error = contextFull("the Messages API gave no summary.");
        turns.giveUp(store, outcome.attempt, turn, outcome.reply, error, now());
      }
    }
    await committed();
  }

  /** One model call with everything on record; null when it could not even be admitted, and was postponed. */
  async #attempt(
    turn: TurnRow,
    body: MessageCreateParamsStreaming,
    entries: readonly TranscriptEntry[],
    betas: string[],
  ): Promise<Outcome | null> {
    const { store, log, now, committed } = this.#parts;
    const abort = new AbortController();
    this.#abort = abort;
    let maxTokens = store.spec.max_tokens;
    try {
      const ask = {
        attempt: nextAttempt(store.storage.sql),
        model: store.spec.model,
        promptTokens: promptBound(store.storage.sql, body, entries),
        maxTokens: store.spec.max_tokens,
        at: now(),
        job: jobOf(store.storage.sql, turn.n),
      };
      this.#askedAt = now();
      const admission = await unlessAborted(this.#parts.admit(ask, abort.signal), abort.signal);
      if (admission === null) {
        await this.#parts.withdraw();
        return null;
      }
      if (!admission.granted && admission.until === null) {
        // A job's cap is never raised: there is nothing to wait for.
        if (isJobId(String(admission.error.details?.scope))) turns.abandon(store, "failed", admission.error, now());
        else pause(store, turn, admission.error, now());
        await committed();
        return null;
      }
      if (!admission.granted) {
        park(store, turn, { at: admission.until, reason: admission.reason }, now());
        await committed();
        return null;
      }
      maxTokens = admission.maxTokens;
    } catch (error) {
      log.warning("admit.failed", { error: describe(error) });
      const unreachable: Failure = { code: "internal", message: "The instance's Orchestrator can't be reached." };
      await this.#postpone(turn, null, null, {
        kind: "retry",
        reason: "connection",
        afterMs: null,
        error: unreachable,
      });
      return null;
    } finally {
      this.#askedAt = null;
      this.#abort = undefined;
    }
    const attempt = beginCall(store, turn, maxTokens, now());
    return this.#call(turn, { ...body, max_tokens: maxTokens }, betas, attempt);
  }

  /** From the request to the whole answer, or what went wrong. */
  async #call(turn: TurnRow, body: MessageCreateParamsStreaming, betas: string[], attempt: number): Promise<Outcome> {
    const { store, claude, streamed } = this.#parts;
    const live: LiveAnswer = { attempt, n: turn.n, step: turn.step + 1, text: "" };
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
          if (event.type === "message_start") noteStart(store, attempt, reply, requestId);
          if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
            live.text += event.delta.text;
            streamed();
          }
        },
      };
      const { reply, requestId } = await inSpan(
        `chat ${body.model}`,
        () => ({
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "anthropic",
          "gen_ai.request.model": body.model,
          "gen_ai.conversation.id": store.spec.instance_id,
        }),
        () => claude.call(body, options),
      );
      return { ok: true, attempt, reply, requestId };
    } catch (error) {
      const failure: CallFailure = abort.signal.aborted ? { kind: "aborted" } : classify(error);
      return { ok: false, attempt, failure, reply: partial };
    } finally {
      this.#abort = undefined;
    }
  }

  async #failed(turn: TurnRow, { attempt, failure, reply }: Extract<Outcome, { ok: false }>): Promise<void> {
    const { store, log, now, committed } = this.#parts;
    this.#live = null;
    if (failure.kind === "aborted") {
      breakOff(store, attempt, turn, reply, now());
      return committed({ kind: "failed" });
    }
    // That it failed is in the event log. What the API said of it can quote the conversation.
    log.debug("model_call.error", {
      kind: failure.kind,
      error: failure.error.code,
      status: Number(failure.error.details?.status ?? 0),
      cause: describe(failure.error.details?.cause ?? ""),
    });
    if (failure.kind === "retry" && turn.failures + 1 < MAX_TRIES[failure.reason]) {
      return this.#postpone(turn, attempt, reply, failure);
    }
    if (failure.kind === "too_long" && turn.phase !== "full") {
      return turns.fillUp(store, attempt, turn, reply, failure.error, now());
    }
    turns.giveUp(store, attempt, turn, reply, failure.error, now());
    await committed({ kind: "failed" });
  }

  async #postpone(
    turn: TurnRow,
    attempt: number | null,
    reply: Reply | null,
    failure: Extract<CallFailure, { kind: "retry" }>,
  ): Promise<void> {
    const { store, now, committed } = this.#parts;
    const at = now() + retryDelay(turn.failures + 1, failure.afterMs, Math.random());
    postpone(store, attempt, turn, { at, reason: failure.reason, error: failure.error, reply }, now());
    const pushedBack = failure.reason === "rate_limited" || failure.reason === "overloaded";
    // Only a time that the API named holds for everybody; a backoff of our own is this turn's affair.
    const until = failure.afterMs === null ? now() : at;
    await committed(pushedBack ? { kind: "pushed_back", until } : { kind: "failed" });
  }

  #schemaOf(n: number): Record<string, unknown> | null {
    const row = first<{ response_schema: string | null }>(
      this.#parts.store.storage.sql,
      "SELECT response_schema FROM message WHERE n = ?",
      n,
    );
    return row?.response_schema ? (JSON.parse(row.response_schema) as Record<string, unknown>) : null;
  }

  /** Runs calls of the step, some at once; each result is kept as soon as it is there. */
  async #runTools(turn: TurnRow, ids: readonly number[]): Promise<void> {
    const { sql } = this.#parts.store.storage;
    const abort = new AbortController();
    this.#abort = abort;
    this.#heard = new Set();
    const queue = callsOf(sql, turn).filter((call) => ids.includes(call.id));
    const worker = async () => {
      for (let call = queue.shift(); call && !abort.signal.aborted; call = queue.shift()) {
        await this.#runCall(turn, call, abort.signal);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(PARALLEL_TOOLS, queue.length) }, worker));
    } finally {
      this.#abort = undefined;
      this.#heard = null;
    }
  }

  async #runCall(turn: TurnRow, call: CallRow, signal: AbortSignal): Promise<void> {
    const { store, tools, now } = this.#parts;
    const { spec } = store;
    const { sql } = store.storage;
    const heard = this.#heard ?? new Set();
    const ask = (asked: Asked) => {
      const state = fenced(store, (tx) => questions.ask(tx, spec.instance_id, call.id, asked, now()));
      if (state.state !== "open") heard.add(state.id);
      return state;
    };
    const startedAt = call.started_at ?? now();
    beginTool(store, turn, call.id, now());
    if (spec.require_approval?.includes(call.name)) {
      const leave = questions.approvalOf(sql, call.id);
      if (!leave) {
        const { id } = ask(questions.approvalFor(call));
        return parkCall(
          store,
          call,
          { reason: "approval", ids: [id], needed: 1, until: null, wakeEarly: false },
          heard,
        );
      }
      if (!leave.given) return denyTool(store, turn, call, leave.note, now());
    }
    const context = {
      tenant: spec.tenant,
      instanceId: spec.instance_id,
      parentId: spec.parent_instance_id,
      name: spec.name,
      key: `${spec.instance_id}:${call.tool_use_id}`,
      signal,
      workspace: this.#parts.workspace,
      secrets: this.#parts.secrets,
      env: this.#parts.env,
      config: this.#parts.config,
      instanceTools: this.#parts.allTools,
      startedAt,
      wokenEarly: call.nudged === 1,
      eventSeq: newestEvent(sql),
      job: jobOf(sql, turn.n),
      // Where no span is made of the call, its sender's is the one above.
      trace: this.#parts.turnEnded
        ? traceparentOfCall(sql, spec.instance_id, turn.n, call.id)
        : senderTrace(sql, turn.n),
      ask,
    };
    const result = await inSpan(
      `execute_tool ${call.name}`,
      () => ({
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.tool_use_id,
        "gen_ai.conversation.id": spec.instance_id,
        ...(context.trace === null ? {} : { traceparent: context.trace }),
      }),
      () => runTool(tools.get(call.name), call.name, JSON.parse(call.input), context),
    );
    if (signal.aborted) return;
    if ("waitpoint" in result) parkCall(store, call, result.waitpoint, heard);
    else endTool(store, turn, call, result, now());
  }
}

type Outcome =
  | { ok: true; attempt: number; reply: Reply; requestId: string | null }
  | { ok: false; attempt: number; failure: CallFailure; reply: Reply | null };

/** The work's result, or null as soon as the signal says that nobody needs it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  return Promise.race([
    work,
    new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true })),
  ]);
}
