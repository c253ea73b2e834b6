/**
 * A runner that another has superseded writes nothing, whatever step it is at: its generation is a fencing token.
 */
import { describe, expect, it } from "vitest";
import { NO_USAGE, type Reply } from "../../../src/anthropic/reply.ts";
import { keepStart } from "../../../src/instance/store/model-calls.ts";
import { callsOf } from "../../../src/instance/store/tool-calls.ts";
import { Superseded, type TurnStore } from "../../../src/instance/store/turn-store.ts";
import { openTurn, type TurnRow } from "../../../src/instance/store/turns.ts";
import { leaveOut } from "../../../src/instance/turn/compaction.ts";
import { commitAnswer } from "../../../src/instance/turn/model-answers.ts";
import * as modelCalls from "../../../src/instance/turn/model-call-steps.ts";
import { showSuspended, suspendCall } from "../../../src/instance/turn/suspension.ts";
import * as toolCalls from "../../../src/instance/turn/tool-call-steps.ts";
import * as turns from "../../../src/instance/turn/turn-transitions.ts";
import { MODEL, onInitialized } from "../../support/initialized.ts";

const NOW = Date.now();
const error = { code: "upstream_error", message: "No." } as const;

const REPLY: Reply = {
  apiMessageId: "msg_1",
  model: MODEL,
  blocks: [{ type: "tool_use", id: "toolu_1", name: "look", input: {} }],
  stopReason: "tool_use",
  stopDetails: null,
  usage: { ...NO_USAGE, input: 10, output: 5 },
  complete: true,
  brokenInputs: new Set(),
};

/** A turn with one tool call that runs, of a first runner that has died since; `late` is what that one still has. */
function superseded(work: (late: TurnStore, turn: TurnRow, callId: number) => void): Promise<void> {
  return onInitialized((late) => {
    const { sql } = late.storage;
    turns.start(late, 1, NOW);
    const turn = () => {
      const open = openTurn(sql);
      if (!open) throw new Error("no turn is open");
      return open;
    };
    const callId = modelCalls.beginCall(late, turn(), 1_000, NOW);
    commitAnswer(late, callId, turn(), REPLY, { simulated: false, hasSchema: false }, NOW);
    for (const { id } of callsOf(sql, turn())) toolCalls.beginTool(late, turn(), id, NOW);
    const before = turn();
    turns.recover({ ...late, generation: "the next" }, () => true, NOW);
    work(late, before, callId);
  });
}

/** Every row of the object. */
function rowsOf({ storage: { sql } }: TurnStore): Record<string, unknown[]> {
  const tables = sql
    .exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'",
    )
    .toArray();
  return Object.fromEntries(tables.map(({ name }) => [name, sql.exec(`SELECT * FROM ${name}`).toArray()]));
}

const waitpoint = { reason: "children", ids: ["msg_2"], needed: 1, until: null, wakeEarly: true };
const plan = { older: [], kept: [], gain: 1 };
const retry = { at: NOW, reason: "connection", error, reply: null };
const result = { content: "Done.", isError: false };

const STEPS: Record<string, (store: TurnStore, turn: TurnRow, callId: number) => unknown> = {
  "begins a model call": (store, turn) => modelCalls.beginCall(store, turn, 1_000, NOW),
  "waits to be admitted": (store, turn) => modelCalls.waitForAdmission(store, turn, retry, NOW),
  "is paused by a cap": (store, turn) => modelCalls.pause(store, turn, error, NOW),
  "puts a call off": (store, turn, callId) => modelCalls.postpone(store, callId, turn, retry, NOW),
  "breaks a call off": (store, turn, callId) => modelCalls.breakOff(store, callId, turn, REPLY, NOW),
  "has no room left": (store, turn, callId) => modelCalls.fillUp(store, callId, turn, null, error, NOW),
  "makes room": (store, turn) => modelCalls.beginCompaction(store, turn),
  "gets no summary": (store, turn, callId) => modelCalls.noSummary(store, callId, turn, REPLY, 4, NOW),
  "leaves the older part out": (store, turn) => leaveOut(store, turn, plan, NOW),
  "commits an answer": (store, turn, callId) =>
    commitAnswer(store, callId, turn, REPLY, { simulated: false, hasSchema: false }, NOW),
  "begins a tool call": (store, turn) => toolCalls.beginTool(store, turn, 1, NOW),
  "keeps a result": (store, turn) => {
    for (const call of callsOf(store.storage.sql, turn)) toolCalls.endTool(store, turn, call, result, NOW);
  },
  "denies a tool call": (store, turn) => {
    for (const call of callsOf(store.storage.sql, turn)) toolCalls.denyTool(store, turn, call, "", NOW);
  },
  "suspends a tool call": (store) => suspendCall(store, { id: 1 }, waitpoint, new Set()),
  "shows that it is suspended": (store, turn) => showSuspended(store, turn, { reason: "children", until: null }, NOW),
  "answers with the results": (store, turn) => toolCalls.appendResults(store, turn, NOW),
  "gives up": (store, turn, callId) => turns.giveUp(store, callId, turn, null, error, NOW),
  "is cancelled": (store) => turns.abandon(store, "cancelled", error, NOW),
};

describe("a superseded runner", () => {
  it.each(Object.entries(STEPS))("writes nothing when it %s", (_name, step) =>
    superseded((late, turn, callId) => {
      const before = rowsOf(late);
      expect(() => step(late, turn, callId)).toThrow(Superseded);
      expect(rowsOf(late)).toEqual(before);
    }),
  );

  it("does not change what was counted for a call that it began", () =>
    onInitialized((late) => {
      const { sql } = late.storage;
      turns.start(late, 1, NOW);
      const turn = openTurn(sql);
      if (!turn) throw new Error("no turn is open");
      const callId = modelCalls.beginCall(late, turn, 1_000, NOW);
      turns.recover({ ...late, generation: "the next" }, () => true, NOW);
      const before = rowsOf(late);
      keepStart(sql, callId, REPLY, "req_1");
      expect(rowsOf(late)).toEqual(before);
    }));
});
