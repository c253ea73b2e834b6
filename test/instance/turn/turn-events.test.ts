/**
 * What the turn runner tells its listener, in which order, and that it waits for the listener: the runner alone, over the rows of a
 * fresh object, with a model and an Orchestrator that do as they are told.
 */
import { describe, expect, it } from "vitest";
import type { Claude } from "../../../src/anthropic/client.ts";
import { NO_USAGE, type Reply } from "../../../src/anthropic/reply.ts";
import type { InstanceTool } from "../../../src/contracts/instance-tool.ts";
import type { Admission } from "../../../src/contracts/model-call.ts";
import { onNotification } from "../../../src/instance/turn/suspension.ts";
import type { TurnEvent } from "../../../src/instance/turn/turn-events.ts";
import { TurnRunner } from "../../../src/instance/turn/turn-runner.ts";
import { createLog } from "../../../src/platform/log.ts";
import { toolContext } from "../../support/context.ts";
import { MODEL, onInitialized } from "../../support/initialized.ts";

function reply(blocks: Reply["blocks"], stopReason = "end_turn"): Reply {
  return {
    apiMessageId: "msg_1",
    model: MODEL,
    blocks,
    stopReason,
    stopDetails: null,
    usage: { ...NO_USAGE, input: 10, output: 5 },
    complete: true,
    brokenInputs: new Set(),
  };
}

const said = (text: string) => reply([{ type: "text", text }]);
const calls = (name: string) => reply([{ type: "tool_use", id: "toolu_1", name, input: {} }], "tool_use");

/** Whether what `waits` waits for has happened. */
let hasCome = false;

/** A tool that waits for a message of another instance, and has its answer when it runs again. */
const waits: InstanceTool = {
  name: "waits",
  description: "Waits.",
  input_schema: { type: "object" },
  powers: [],
  repeatable: true,
  preset: "standard",
  run: async () =>
    hasCome
      ? { content: "It has come." }
      : { waitpoint: { reason: "children", ids: ["msg_2"], needed: 1, until: null, wakeEarly: true } },
};

interface Run {
  events: TurnEvent[];
  /** Runs until there is nothing to do. */
  until(): Promise<void>;
  notify(id: string): void;
}

/** Runs the turn on one message, with `replies` for its model calls, and tells what was emitted. */
function running(replies: Reply[], admissions: Admission[], work: (run: Run) => Promise<void>): Promise<void> {
  return onInitialized(async (store) => {
    const claude: Claude = {
      simulated: false,
      call: async (_body, { onEvent }) => {
        const answer = replies.shift() ?? said("Enough.");
        const delta = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Good" } } as const;
        if (answer.stopReason === "end_turn") onEvent?.(delta, answer, "req_1");
        return { reply: answer, requestId: "req_1" };
      },
    };
    const runner = new TurnRunner({
      store,
      claude,
      admission: {
        admit: async () => admissions.shift() ?? { granted: true, maxTokens: 1_000 },
        withdraw: async () => undefined,
      },
      tools: new Map([[waits.name, waits]]),
      environment: toolContext({}),
      log: createLog("CRITICAL", {}),
      now: () => Date.now(),
    });
    const events: TurnEvent[] = [];
    let pending = 0;
    /** Events that came while the runner should have waited for one before. */
    let overlaps = 0;
    runner.listen(async (event) => {
      overlaps += pending;
      events.push(event);
      if (event.kind === "admitting" || event.kind === "streamed" || event.kind === "turn_ended") return;
      pending += 1;
      await new Promise((later) => setTimeout(later, 0));
      pending -= 1;
    });
    await work({
      events,
      until: () => runner.ensureRunning(),
      notify: (id) => {
        runner.notify(id);
        onNotification(store.storage, store.spec.instance_id, id, Date.now());
      },
    });
    expect(overlaps).toBe(0);
  });
}

const kinds = (events: readonly TurnEvent[]) => events.map(({ kind }) => kind);

describe("the events of the turn runner", () => {
  it("tell of an answer as it comes, of its commit, of the turn's end and of the rest, in this order", () =>
    running([said("Good day.")], [], async ({ events, until }) => {
      await until();
      expect(events).toEqual([
        { kind: "admitting" },
        { kind: "streamed" },
        { kind: "committed", call: { kind: "ok" } },
        { kind: "turn_ended", n: 1 },
        { kind: "rested" },
      ]);
    }));

  it("tell that a turn waits for something outside, and of its end once that has come", () =>
    running([calls("waits"), said("Good.")], [], async ({ events, until, notify }) => {
      hasCome = false;
      await until();
      expect(kinds(events)).toEqual(["admitting", "committed", "waiting"]);
      events.length = 0;
      hasCome = true;
      notify("msg_2");
      await until();
      expect(kinds(events)).toEqual(["admitting", "streamed", "committed", "turn_ended", "rested"]);
    }));

  it("tell that a call was not admitted yet, and stop there", () =>
    running([], [{ granted: false, until: Date.now() + 60_000, reason: "budget" }], async ({ events, until }) => {
      await until();
      expect(events).toEqual([{ kind: "admitting" }, { kind: "committed" }, { kind: "waiting" }]);
    }));

  it("tell that a cap pauses the turn, which is a rest and no end of it", () => {
    const error = { code: "budget_exceeded", message: "No more." } as const;
    return running([], [{ granted: false, until: null, error }], async ({ events, until }) => {
      await until();
      expect(kinds(events)).toEqual(["admitting", "committed", "rested"]);
    });
  });
});
