/**
 * A turn's tool calls: several in parallel, each with its intent written before it and its result after.
 */
import type { Asked, InstanceTool, InstanceToolContext, QuestionState } from "../../contracts/instance-tool.ts";
import { isGuarded, POWERS } from "../../contracts/powers.ts";
import { inSpan } from "../../platform/trace.ts";
import { traceparentOfCall } from "../reporting/spans.ts";
import { newestEvent } from "../store/events.ts";
import { jobOf, senderTrace } from "../store/messages.ts";
import { callsOf, type ToolCallRow } from "../store/tool-calls.ts";
import { fenced, type TurnStore } from "../store/turn-store.ts";
import type { TurnRow } from "../store/turns.ts";
import { approvalFor } from "./approval.ts";
import * as questions from "./questions.ts";
import { runTool } from "./run-tool.ts";
import { suspendCall } from "./suspension.ts";
import { beginTool, denyTool, endTool } from "./tool-call-steps.ts";

/** Tool calls of one answer that run in parallel: an object gets 6 connections, and the model call may hold one. */
const PARALLEL_TOOLS = 5;

/** What tools get of their surroundings: the same for every call. */
export type ToolEnvironment = Pick<InstanceToolContext, "workspace" | "secrets" | "env" | "config" | "instanceTools">;

export interface ToolCallerParts {
  store: TurnStore;
  /** What the instance has, by name. */
  tools: ReadonlyMap<string, InstanceTool>;
  environment: ToolEnvironment;
  now(): number;
}

export class ToolCaller {
  readonly #parts: ToolCallerParts;
  #abort: AbortController | undefined;
  /** What the instance was notified of while tools run: one of them may be about to suspend on it. */
  #notified: Set<string> | null = null;

  constructor(parts: ToolCallerParts) {
    this.#parts = parts;
  }

  /** Something that a running tool may be about to wait for has happened. */
  notify(id: string): void {
    this.#notified?.add(id);
  }

  /** Stops the tools that run. */
  interrupt(): void {
    this.#abort?.abort(new Error("stopped"));
  }

  /** Runs calls of the open step; each result is kept as soon as it is there. */
  async run(turn: TurnRow, ids: readonly number[]): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#notified = new Set();
    const queue = callsOf(this.#parts.store.storage.sql, turn).filter((call) => ids.includes(call.id));
    const worker = async () => {
      for (let call = queue.shift(); call && !abort.signal.aborted; call = queue.shift()) {
        await this.#runCall(turn, call, abort.signal);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(PARALLEL_TOOLS, queue.length) }, worker));
    } finally {
      this.#abort = undefined;
      this.#notified = null;
    }
  }

  async #runCall(turn: TurnRow, call: ToolCallRow, signal: AbortSignal): Promise<void> {
    const { store, tools, now } = this.#parts;
    const { spec } = store;
    const { sql } = store.storage;
    const notified = this.#notified ?? new Set();
    const ask = (asked: Asked): QuestionState => {
      const state = fenced(store, (tx) => questions.ask(tx, spec.instance_id, call.id, asked, now()));
      if (state.state !== "open") notified.add(state.id);
      return state;
    };
    const startedAt = call.started_at ?? now();
    beginTool(store, turn, call.id, now());
    if (this.#needsApproval(call)) {
      const approval = questions.approvalOf(sql, call.id);
      if (!approval) {
        const asked = approvalFor(call);
        if ("unshowable" in asked) return denyTool(store, turn, call, asked.unshowable, now());
        const { id } = ask(asked);
        const waitpoint = { reason: "approval", ids: [id], needed: 1, until: null, wakeEarly: false };
        return suspendCall(store, call, waitpoint, notified);
      }
      if (!approval.given) return denyTool(store, turn, call, approval.note, now());
    }
    const context = this.#contextOf(turn, call, { signal, startedAt, ask });
    const result = await inSpan(
      `execute_tool ${call.name}`,
      () => ({
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.tool_use_id,
        "gen_ai.conversation.id": spec.instance_id,
        ...(context.trace == null ? {} : { traceparent: context.trace }),
      }),
      () => runTool(tools.get(call.name), call.name, JSON.parse(call.input), context),
    );
    // The row says that it runs: when the turn is closed the model is told that its outcome is not known.
    if ("stopped" in result) return;
    if ("waitpoint" in result) suspendCall(store, call, result.waitpoint, notified);
    else endTool(store, turn, call, result, now());
  }

  #needsApproval(call: ToolCallRow): boolean {
    const { store, tools, environment } = this.#parts;
    const tool = tools.get(call.name);
    if (!tool) return false;
    const powers = tool.powersFor?.(JSON.parse(call.input) as Record<string, unknown>) ?? tool.powers;
    // A guard may come from a parent that has other tools; of a remote one of those nothing is known.
    const powersOf = (name: string) =>
      (tools.get(name) ?? environment.instanceTools.find((known) => known.name === name))?.powers ?? POWERS;
    return isGuarded(store.spec.require_approval ?? [], { name: call.name, powers }, powersOf);
  }

  #contextOf(
    turn: TurnRow,
    call: ToolCallRow,
    own: Pick<InstanceToolContext, "signal" | "startedAt" | "ask">,
  ): InstanceToolContext {
    const { store, environment } = this.#parts;
    const { spec } = store;
    const { sql } = store.storage;
    const traced = environment.config.collector !== null;
    return {
      ...environment,
      ...own,
      tenant: spec.tenant,
      instanceId: spec.instance_id,
      parentId: spec.parent_instance_id,
      name: spec.name,
      key: `${spec.instance_id}:${call.tool_use_id}`,
      wokenEarly: call.early_wake === "woken",
      eventSeq: newestEvent(sql),
      job: jobOf(sql, turn.n),
      // Where no span is made of the call, its sender's is the one above.
      trace: traced ? traceparentOfCall(sql, spec.instance_id, turn.n, call.id) : senderTrace(sql, turn.n),
    };
  }
}
