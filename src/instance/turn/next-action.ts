/**
 * A turn as a state machine over rows. `nextAction` decides what comes next from what is stored, and from nothing else:
 * after a crash the same rows give the same decision.
 */
import type { Failure } from "../../platform/errors.ts";
import type { Lifecycle } from "../store/instance-row.ts";

/**
 * `ready`: a model call is next. `calling`: one is under way. `tools`: tool calls of the last answer are open. `full`: the
 * conversation no longer fits the model's context and has to be compacted first. `checking`: an answer is committed, and has to be
 * checked against its schema. `unchecked`: that check ended with its process, and is not made again.
 */
export type TurnPhase = "ready" | "calling" | "tools" | "full" | "checking" | "unchecked";

export interface TurnView {
  n: number;
  phase: TurnPhase;
  /** Written by the runner that works on the turn. */
  generation: string;
  /** Model answers committed so far. */
  step: number;
  /** Failed model calls since the last committed step. */
  failures: number;
  /** ms since the epoch; nothing happens before it. */
  notBefore: number | null;
  waitingReason: string | null;
  cancelReason: string | null;
  /** A cap was reached: nothing happens until it is raised. */
  paused: boolean;
  /** When the turn has to be over, in ms since the epoch, or null. */
  deadline: number | null;
}

/** `suspended`: it waits for something elsewhere, and runs again then. `unknown`: it was running when its process died, and it may not be repeated. */
export type ToolCallState = "pending" | "running" | "suspended" | "done" | "unknown";

export interface ToolCallView {
  id: number;
  name: string;
  state: ToolCallState;
  /** When a suspended call runs again at the latest, in ms since the epoch; null: when the instance is notified. */
  wakeAt: number | null;
  /** What a suspended call waits for. */
  waitReason: string | null;
}

export interface TurnRows {
  /** The runner that asks. */
  generation: string;
  /** Only an active instance starts a turn; a terminated one goes on with none. */
  lifecycle: Lifecycle;
  turn: TurnView | null;
  /** The next queued message. */
  nextQueued: number | null;
  /** The open step's tool calls, in the model's order. */
  calls: readonly ToolCallView[];
  /** One of the turn's calls has asked something that is not answered yet. */
  asking: boolean;
  maxSteps: number;
  now: number;
}

export type TurnAction =
  | { kind: "rest" }
  /** A turn is open, and only a higher cap makes it go on. */
  | { kind: "pause" }
  | { kind: "start"; n: number }
  /** Take over a turn whose runner died: its model call is lost, its running tools are open again or unknown. */
  | { kind: "recover" }
  | { kind: "call_model" }
  | { kind: "compact" }
  | { kind: "run_tools"; ids: number[] }
  | { kind: "append_results" }
  | { kind: "check_answer" }
  | { kind: "accept_unchecked" }
  | { kind: "wait"; until: number; reason: string }
  /** Nothing but suspended calls is left: they go on when the instance is notified, or at a time. */
  | { kind: "suspend"; until: number | null; reason: string }
  | { kind: "cancel"; reason: string }
  | { kind: "fail"; error: Failure };

/** There is nothing to do until a time, or until something from outside changes the rows. */
export type Stop = Extract<TurnAction, { kind: "rest" | "pause" | "wait" | "suspend" }>;

export function isStop(action: TurnAction): action is Stop {
  return action.kind === "rest" || action.kind === "pause" || action.kind === "wait" || action.kind === "suspend";
}

/** What the runner of an instance does next. Pure. */
export function nextAction(rows: TurnRows): TurnAction {
  const { turn } = rows;
  if (turn === null) {
    if (rows.lifecycle !== "active" || rows.nextQueued === null) return { kind: "rest" };
    return { kind: "start", n: rows.nextQueued };
  }
  const action = actionOf(rows, turn);
  if (turn.generation === rows.generation) return action;
  // A turn that rests in its rows is left alone: its object may go and come back as often as it likes.
  const rests = isStop(action) && turn.waitingReason !== null && !rows.calls.some(({ state }) => state === "running");
  return rests ? action : { kind: "recover" };
}

/** The same for a turn whose runner asks. */
function actionOf(rows: TurnRows, turn: TurnView): TurnAction {
  if (rows.lifecycle === "terminated")
    return { kind: "cancel", reason: turn.cancelReason ?? "the instance was terminated" };
  if (turn.cancelReason !== null) return { kind: "cancel", reason: turn.cancelReason };
  // Only a turn that goes on by itself is finished: an instance that could raise the cap or answer may be ended as well.
  if (rows.lifecycle === "finishing" && (turn.paused || rows.asking))
    return { kind: "cancel", reason: "the instance was terminated while its turn waited" };
  if (turn.paused) return { kind: "pause" };
  if (turn.deadline !== null && turn.deadline <= rows.now) return { kind: "fail", error: tooLong() };
  if (turn.notBefore !== null && turn.notBefore > rows.now) {
    const until = Math.min(turn.notBefore, turn.deadline ?? Number.POSITIVE_INFINITY);
    return { kind: "wait", until, reason: turn.waitingReason ?? "retry" };
  }
  switch (turn.phase) {
    case "ready":
      return turn.step >= rows.maxSteps ? { kind: "fail", error: tooManySteps(rows.maxSteps) } : { kind: "call_model" };
    case "full":
      return { kind: "compact" };
    case "checking":
      return { kind: "check_answer" };
    case "unchecked":
      return { kind: "accept_unchecked" };
    case "calling":
      // The runner itself leaves this phase before it asks again; only a dead one left it behind, and that is `recover`.
      return { kind: "recover" };
    case "tools": {
      const ready = rows.calls.filter((call) => call.state === "pending" || isDue(call, rows.now)).map(({ id }) => id);
      if (ready.length > 0) return { kind: "run_tools", ids: ready };
      const suspended = rows.calls.filter((call) => call.state === "suspended");
      if (suspended.length === 0) return { kind: "append_results" };
      const times = [...suspended.map((call) => call.wakeAt), turn.deadline].filter((time) => time !== null);
      return {
        kind: "suspend",
        until: times.length > 0 ? Math.min(...times) : null,
        reason: suspended[0]?.waitReason ?? "something elsewhere",
      };
    }
  }
}

function isDue(call: ToolCallView, now: number): boolean {
  return call.state === "suspended" && call.wakeAt !== null && call.wakeAt <= now;
}

function tooLong(): Failure {
  return {
    code: "limit_reached",
    message:
      "The turn took longer than max_turn_minutes and was stopped. Raise it with set_limits, or ask for less at once.",
    details: { limit: "max_turn_minutes" },
  };
}

function tooManySteps(maxSteps: number): Failure {
  return {
    code: "limit_reached",
    message: `The turn took ${maxSteps} model calls without coming to an end and was stopped. Send a narrower task, or ask the instance to sum up.`,
    details: { max_steps: maxSteps },
  };
}

/** The allowed changes of a message's state; a test walks them. */
export const MESSAGE_TRANSITIONS = {
  queued: ["running", "cancelled"],
  // Back to `queued`: a passive message whose turn was refused.
  running: ["waiting", "completed", "failed", "cancelled", "refused", "queued"],
  waiting: ["running", "failed", "cancelled"],
  completed: [],
  failed: [],
  cancelled: [],
  refused: [],
} as const;

/** The allowed changes of an instance's state; a test walks them. */
export const INSTANCE_TRANSITIONS = {
  initializing: ["idle", "busy", "terminated"],
  idle: ["busy", "terminated"],
  busy: ["idle", "waiting", "error", "paused", "terminated"],
  waiting: ["busy", "idle", "error", "paused", "terminated"],
  paused: ["busy", "idle", "terminated"],
  error: ["busy", "terminated"],
  terminated: [],
} as const;
