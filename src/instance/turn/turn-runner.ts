/**
 * The turn runner of an instance: asks `nextAction` what comes next, does it, and asks again. It is detached from every
 * caller, holds nothing that rows don't, and may die at any point.
 */

import { answerFormat } from "../../anthropic/answer-format/answer-format.ts";
import type { Claude } from "../../anthropic/client.ts";
import { requestOf } from "../../anthropic/request.ts";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import type { Failure } from "../../platform/errors.ts";
import { describe, type Log } from "../../platform/log.ts";
import type { LiveAnswer } from "../reporting/live-stream.ts";
import { responseSchema } from "../store/messages.ts";
import { Superseded, type TurnStore } from "../store/turn-store.ts";
import { openTurn, type TurnRow } from "../store/turns.ts";
import { answerOf, commitCheck } from "./answer-check.ts";
import {
  betasOf,
  COMPACTION_BETA,
  commitCompaction,
  compactionPlan,
  compactionRequest,
  contextFull,
  isCompactionDue,
  leaveOut,
  MAX_SUMMARY_TRIES,
  shortenResults,
} from "./compaction.ts";
import { describeAfterRefusal, describeSchema } from "./described-schema.ts";
import { commitAnswer } from "./model-answers.ts";
import { beginCompaction, noSummary } from "./model-call-steps.ts";
import { type AdmissionControl, ModelCaller, type RefusedCall } from "./model-caller.ts";
import { isStop, nextAction, type Stop, type TurnAction } from "./next-action.ts";
import { CHECK_LOST, checkStructured } from "./structured-output.ts";
import { showSuspended } from "./suspension.ts";
import { appendResults } from "./tool-call-steps.ts";
import { ToolCaller, type ToolEnvironment } from "./tool-caller.ts";
import type { TurnEvent, TurnListener } from "./turn-events.ts";
import { turnRows } from "./turn-rows.ts";
import * as turns from "./turn-transitions.ts";

/** Runners of one turn that died without a committed step in between; then something about the turn itself kills them. */
const MAX_CRASHES = 20;

export interface TurnRunnerParts {
  store: TurnStore;
  claude: Claude;
  admission: AdmissionControl;
  /** What the instance has, by name. */
  tools: ReadonlyMap<string, InstanceTool>;
  environment: ToolEnvironment;
  log: Log;
  now(): number;
}

export class TurnRunner {
  readonly #parts: TurnRunnerParts;
  readonly #model: ModelCaller;
  readonly #toolCalls: ToolCaller;
  #listener: TurnListener | undefined;
  #running: Promise<void> | undefined;
  #atWork = false;

  constructor(parts: TurnRunnerParts) {
    this.#parts = parts;
    this.#model = new ModelCaller({ ...parts, emit: (event) => this.#emit(event) });
    this.#toolCalls = new ToolCaller(parts);
  }

  /** Sets the listener. Call once, before the first run. */
  listen(listener: TurnListener): void {
    this.#listener = listener;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** The answer that is being written, for those who follow it. */
  get live(): LiveAnswer | null {
    return this.#model.live;
  }

  /** Whether the turn waits for a slot of the concurrency limiter. */
  get queued(): boolean {
    return this.#model.queued;
  }

  /** Starts the turn on a message that was just taken in, if nothing is under way: then both are one commit. */
  startTurn(): void {
    if (this.#running) return;
    const { store, now } = this.#parts;
    const action = nextAction(turnRows(store, now()));
    if (action.kind === "start") turns.start(store, action.n, now());
  }

  /** Starts a run unless there is one. Returns the end of the run, which need not be waited for; it never rejects. */
  ensureRunning(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Whether it is doing something, rather than reporting that there is nothing to do. */
  get atWork(): boolean {
    return this.#atWork;
  }

  /** What comes next, by the rows. */
  get next(): TurnAction {
    const { store, now } = this.#parts;
    return nextAction(turnRows(store, now()));
  }

  /** Something that a tool may be about to wait for has happened. */
  notify(id: string): void {
    this.#toolCalls.notify(id);
  }

  /** Aborts what is under way, so that the runner looks at the rows again. */
  interrupt(): void {
    this.#model.interrupt();
    this.#toolCalls.interrupt();
  }

  #emit(event: TurnEvent): Promise<void> | void {
    if (!this.#listener) throw new Error("Nobody listens to the turn runner.");
    return this.#listener(event);
  }

  async #run(): Promise<void> {
    const { store, log, now } = this.#parts;
    let open: number | null = null;
    try {
      for (;;) {
        const rows = turnRows(store, now());
        if (open !== null && rows.turn?.n !== open) this.#emit({ kind: "turn_ended", n: open });
        open = rows.turn?.n ?? null;
        const action = nextAction(rows);
        if (!isStop(action)) {
          this.#atWork = true;
          await this.#do(action);
          continue;
        }
        this.#atWork = false;
        await this.#stop(action);
        // A message or a change of the turn may have come in meanwhile.
        if (nextAction(turnRows(store, now())).kind === action.kind) return;
      }
    } catch (error) {
      if (error instanceof Superseded) return;
      // The alarm that is armed while a turn is open starts the next runner, which recovers from the rows.
      log.error("drive.failed", { error: describe(error) });
    } finally {
      this.#running = undefined;
      this.#atWork = false;
    }
  }

  async #stop(action: Stop): Promise<void> {
    const { store, now } = this.#parts;
    switch (action.kind) {
      case "rest":
      case "pause":
        return this.#emit({ kind: "rested" });
      case "wait":
        return this.#emit({ kind: "waiting" });
      case "suspend":
        showSuspended(store, this.#turn(), action, now());
        return this.#emit({ kind: "waiting" });
    }
  }

  async #do(action: Exclude<TurnAction, Stop>): Promise<void> {
    const { store, tools, now } = this.#parts;
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
        return this.#toolCalls.run(this.#turn(), action.ids);
      case "append_results":
        return appendResults(store, this.#turn(), now());
      case "check_answer":
        return this.#checkAnswer(this.#turn());
      case "accept_unchecked":
        return this.#acceptUnchecked(this.#turn());
      case "cancel":
        return this.#abandon("cancelled", {
          code: "cancelled",
          message: `The turn was stopped: ${action.reason}.`,
        });
      case "fail":
        return this.#abandon("failed", action.error);
    }
  }

  #turn(): TurnRow {
    const turn = openTurn(this.#parts.store.storage.sql);
    if (!turn) throw new Superseded("the turn is closed");
    return turn;
  }

  async #abandon(state: "failed" | "cancelled", error: Failure): Promise<void> {
    turns.abandon(this.#parts.store, state, error, this.#parts.now());
    await this.#emit({ kind: "committed" });
  }

  async #giveUpAfterCrashes(): Promise<void> {
    if (this.#turn().crashes < MAX_CRASHES) return;
    await this.#abandon("failed", {
      code: "internal",
      message: `The turn was interrupted ${MAX_CRASHES} times without getting any further, and was given up. Send the message again.`,
    });
  }

  async #callModel(turn: TurnRow): Promise<void> {
    const { store, claude, now } = this.#parts;
    const { simulated } = claude;
    const schema = responseSchema(store.storage.sql, turn.n);
    const format = schema && turn.schema_described === 0 ? answerFormat(schema) : null;
    if (schema && format?.kind === "described") {
      const { path, message } = format.remark;
      return describeSchema(store, turn, schema, `${path} ${message}.`, now());
    }
    const entries = store.transcript.entries();
    if (isCompactionDue(store.storage.sql, compactionPlan(entries, turn.n), store.compactAt)) {
      return beginCompaction(store, turn);
    }
    const enforced = format?.kind === "enforced" ? format.schema : null;
    const body = requestOf(store.spec, entries, { responseSchema: enforced, simulated });
    const refused =
      schema && enforced ? (call: RefusedCall) => describeAfterRefusal(store, turn, schema, call, now()) : undefined;
    await this.#model.call(turn, { body, entries, betas: betasOf(entries), refused }, (callId, reply) => {
      commitAnswer(store, callId, turn, reply, { simulated, hasSchema: schema !== null }, now());
    });
  }

  async #checkAnswer(turn: TurnRow): Promise<void> {
    const { store, now } = this.#parts;
    // The answer is on disk before it is checked: a check that ends the process is not made again.
    await store.storage.sync();
    const answer = answerOf(store, turn.n);
    const check = await checkStructured(responseSchema(store.storage.sql, turn.n), answer.text);
    commitCheck(store, turn, answer, check, now());
    await this.#emit({ kind: "committed" });
  }

  async #acceptUnchecked(turn: TurnRow): Promise<void> {
    const { store, now } = this.#parts;
    commitCheck(store, turn, answerOf(store, turn.n), CHECK_LOST, now());
    await this.#emit({ kind: "committed" });
  }

  /** Makes room in the context, so that the turn can go on. */
  async #compact(turn: TurnRow): Promise<void> {
    const { store, claude, now } = this.#parts;
    const plan = compactionPlan(store.transcript.entries(), turn.n);
    if (plan.gain === 0) {
      if (!shortenResults(store, turn, now())) await this.#abandon("failed", contextFull());
      return;
    }
    if (turn.summary_tries >= MAX_SUMMARY_TRIES) return leaveOut(store, turn, plan, now());
    const body = compactionRequest(store, plan.older, turn.summary_tries, claude.simulated);
    await this.#model.call(turn, { body, entries: plan.older, betas: [COMPACTION_BETA] }, (callId, reply) => {
      if (!commitCompaction(store, callId, turn, reply, plan, now())) {
        noSummary(store, callId, turn, reply, MAX_SUMMARY_TRIES, now());
      }
    });
  }
}
