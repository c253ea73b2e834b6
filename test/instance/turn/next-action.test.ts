/**
 * What a turn does next, decided by its rows alone.
 */
import { describe, expect, it } from "vitest";
import {
  nextAction,
  type ToolCallView,
  type TurnAction,
  type TurnRows,
  type TurnView,
} from "../../../src/instance/turn/next-action.ts";
import { installModel } from "../../support/model.ts";

installModel();

describe("the next action of a turn", () => {
  const NOW = 1_000_000;
  const turn = (fields: Partial<TurnView> = {}): TurnView => ({
    n: 3,
    phase: "ready",
    generation: "mine",
    step: 0,
    failures: 0,
    notBefore: null,
    waitingReason: null,
    cancelReason: null,
    paused: false,
    deadline: null,
    ...fields,
  });
  const call = (id: number, state: ToolCallView["state"], wakeAt: number | null = null): ToolCallView => ({
    id,
    name: "lookup",
    state,
    wakeAt,
    waitReason: state === "suspended" ? "an answer" : null,
  });
  const after = (fields: Partial<TurnRows>): TurnAction =>
    nextAction({
      generation: "mine",
      lifecycle: "active",
      turn: null,
      nextQueued: null,
      calls: [],
      asking: false,
      maxSteps: 200,
      now: NOW,
      ...fields,
    });

  it.each<[string, Partial<TurnRows>, TurnAction]>([
    ["nothing is queued", {}, { kind: "rest" }],
    ["a message is queued", { nextQueued: 7 }, { kind: "start", n: 7 }],
    ["message 0, an initial prompt, is queued", { nextQueued: 0 }, { kind: "start", n: 0 }],
    ["it ends after the running turn, and none runs", { lifecycle: "finishing", nextQueued: 7 }, { kind: "rest" }],
    ["it has ended", { lifecycle: "terminated", nextQueued: 7 }, { kind: "rest" }],

    ["a dead runner left a ready turn", { turn: turn({ generation: "dead" }) }, { kind: "recover" }],
    ["a dead runner left a call", { turn: turn({ generation: "dead", phase: "calling" }) }, { kind: "recover" }],
    [
      "a dead runner left tools",
      { turn: turn({ generation: "dead", phase: "tools" }), calls: [call(1, "running")] },
      { kind: "recover" },
    ],
    [
      "a dead runner's turn is to be cancelled: it is taken over first",
      { lifecycle: "terminated", turn: turn({ generation: "dead", cancelReason: "stop" }) },
      { kind: "recover" },
    ],
    ["its own runner says that a call is under way", { turn: turn({ phase: "calling" }) }, { kind: "recover" }],

    ["it ends after this turn", { lifecycle: "finishing", turn: turn() }, { kind: "call_model" }],
    [
      "it has ended",
      { lifecycle: "terminated", turn: turn() },
      { kind: "cancel", reason: "the instance was terminated" },
    ],
    [
      "it has ended, for a reason",
      { lifecycle: "terminated", turn: turn({ cancelReason: "enough" }) },
      { kind: "cancel", reason: "enough" },
    ],
    ["the turn is to stop", { turn: turn({ cancelReason: "enough" }) }, { kind: "cancel", reason: "enough" }],
    [
      "the turn is to stop while it waits",
      { turn: turn({ cancelReason: "enough", notBefore: NOW + 1 }) },
      { kind: "cancel", reason: "enough" },
    ],
    [
      "the turn is to stop while tools are open",
      { turn: turn({ phase: "tools", cancelReason: "enough" }), calls: [call(1, "pending")] },
      { kind: "cancel", reason: "enough" },
    ],

    [
      "it waits for a time to come",
      { turn: turn({ notBefore: NOW + 1, waitingReason: "rate_limited" }) },
      { kind: "wait", until: NOW + 1, reason: "rate_limited" },
    ],
    [
      "it waits, and nobody said for what",
      { turn: turn({ notBefore: NOW + 1 }) },
      { kind: "wait", until: NOW + 1, reason: "retry" },
    ],
    [
      "its time is over before what it waits for",
      { turn: turn({ notBefore: NOW + 9, waitingReason: "rate_limited", deadline: NOW + 5 }) },
      { kind: "wait", until: NOW + 5, reason: "rate_limited" },
    ],
    [
      "another object has taken over a turn that waits",
      { turn: turn({ generation: "gone", notBefore: NOW + 9, waitingReason: "rate_limited" }) },
      { kind: "wait", until: NOW + 9, reason: "rate_limited" },
    ],
    [
      "another object has taken over a paused turn",
      { turn: turn({ generation: "gone", paused: true, waitingReason: "budget_exceeded" }) },
      { kind: "pause" },
    ],
    [
      "another object has taken over a suspended call",
      { turn: turn({ generation: "gone", phase: "tools", waitingReason: "an answer" }), calls: [call(1, "suspended")] },
      { kind: "suspend", until: null, reason: "an answer" },
    ],
    [
      "another object has taken over a call that was never shown as suspended",
      { turn: turn({ generation: "gone", phase: "tools" }), calls: [call(1, "suspended")] },
      { kind: "recover" },
    ],
    [
      "another object has taken over a suspended call beside one that ran",
      {
        turn: turn({ generation: "gone", phase: "tools", waitingReason: "an answer" }),
        calls: [call(1, "suspended"), call(2, "running")],
      },
      { kind: "recover" },
    ],
    [
      "the instance ends after a turn that is paused",
      { lifecycle: "finishing", turn: turn({ paused: true, waitingReason: "budget_exceeded" }) },
      { kind: "cancel", reason: "the instance was terminated while its turn waited" },
    ],
    [
      "the instance ends after a turn that asks",
      {
        lifecycle: "finishing",
        turn: turn({ phase: "tools", waitingReason: "an answer" }),
        calls: [call(1, "suspended")],
        asking: true,
      },
      { kind: "cancel", reason: "the instance was terminated while its turn waited" },
    ],
    ["the time is now", { turn: turn({ notBefore: NOW, waitingReason: "stalled" }) }, { kind: "call_model" }],
    ["the time is past", { turn: turn({ notBefore: NOW - 1, waitingReason: "stalled" }) }, { kind: "call_model" }],
    [
      "a compaction waits",
      { turn: turn({ phase: "full", notBefore: NOW + 1 }) },
      { kind: "wait", until: NOW + 1, reason: "retry" },
    ],

    ["a call is next", { turn: turn() }, { kind: "call_model" }],
    ["a call is next, and others are queued", { turn: turn(), nextQueued: 9 }, { kind: "call_model" }],
    ["one step is left", { turn: turn({ step: 199 }) }, { kind: "call_model" }],
    ["the conversation is full", { turn: turn({ phase: "full" }) }, { kind: "compact" }],

    [
      "all tools are pending",
      { turn: turn({ phase: "tools" }), calls: [call(1, "pending"), call(2, "pending")] },
      { kind: "run_tools", ids: [1, 2] },
    ],
    [
      "tools in every state",
      {
        turn: turn({ phase: "tools" }),
        calls: [call(1, "done"), call(2, "pending"), call(3, "unknown"), call(4, "running"), call(5, "pending")],
      },
      { kind: "run_tools", ids: [2, 5] },
    ],
    [
      "all tools are done",
      { turn: turn({ phase: "tools" }), calls: [call(1, "done"), call(2, "done")] },
      { kind: "append_results" },
    ],
    [
      "the rest is of unknown outcome",
      { turn: turn({ phase: "tools" }), calls: [call(1, "done"), call(2, "unknown")] },
      { kind: "append_results" },
    ],
    [
      "tools that its own runner broke off",
      { turn: turn({ phase: "tools" }), calls: [call(1, "running")] },
      { kind: "append_results" },
    ],
    [
      "one call is suspended, another done",
      { turn: turn({ phase: "tools" }), calls: [call(1, "done"), call(2, "suspended")] },
      { kind: "suspend", until: null, reason: "an answer" },
    ],
    [
      "calls are suspended for different times",
      { turn: turn({ phase: "tools" }), calls: [call(1, "suspended", NOW + 9), call(2, "suspended", NOW + 5)] },
      { kind: "suspend", until: NOW + 5, reason: "an answer" },
    ],
    [
      "the turn has to be over before the suspended call's time",
      { turn: turn({ phase: "tools", deadline: NOW + 2 }), calls: [call(1, "suspended", NOW + 9)] },
      { kind: "suspend", until: NOW + 2, reason: "an answer" },
    ],
    [
      "a suspended call's time is over",
      { turn: turn({ phase: "tools" }), calls: [call(1, "suspended", NOW), call(2, "suspended")] },
      { kind: "run_tools", ids: [1] },
    ],
    [
      "a turn with suspended calls is stopped",
      { turn: turn({ phase: "tools", cancelReason: "enough" }), calls: [call(1, "suspended")] },
      { kind: "cancel", reason: "enough" },
    ],
    ["tools without a call", { turn: turn({ phase: "tools" }) }, { kind: "append_results" }],
    [
      "the steps are used up, but tools are open",
      { turn: turn({ phase: "tools", step: 200 }), calls: [call(1, "pending")] },
      { kind: "run_tools", ids: [1] },
    ],
  ])("%s", (_name, rows, action) => {
    expect(after(rows)).toEqual(action);
  });

  it.each([200, 201])("fails a turn at step %i of 200, and says so", (step) => {
    const action = after({ turn: turn({ step }) });
    expect(action).toMatchObject({
      kind: "fail",
      error: {
        code: "limit_reached",
        details: { max_steps: 200 },
        message: expect.stringContaining("200 model calls"),
      },
    });
  });

  it("is pure: the same rows give the same action and stay as they are", () => {
    const calls = [call(1, "done"), call(2, "pending")];
    const rows: TurnRows = Object.freeze({
      generation: "mine",
      lifecycle: "active",
      turn: Object.freeze(turn({ phase: "tools" })),
      nextQueued: null,
      calls: Object.freeze(calls),
      asking: false,
      maxSteps: 200,
      now: NOW,
    });
    expect(nextAction(rows)).toEqual(nextAction(rows));
  });
});
