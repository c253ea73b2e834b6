/**
 * A turn's decisions, one by one: what comes next from which rows, which states follow on which, what is done about which
 * failure, and the small parts that every turn is made of.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { APIConnectionError, APIError, APIUserAbortError } from "@anthropic-ai/sdk/error";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type CallFailure,
  CutOffError,
  classify,
  MAX_TRIES,
  retryDelay,
  StalledError,
} from "../../../src/anthropic/failure.ts";
import { NO_USAGE, ReplyBuilder } from "../../../src/anthropic/reply.ts";
import { isFinal, MESSAGE_STATES } from "../../../src/contracts/instance.ts";
import { INSTANCE_STATES } from "../../../src/contracts/instance-spec.ts";
import type { InstanceTool, InstanceToolContext } from "../../../src/contracts/instance-tool.ts";
import { partsOf } from "../../../src/instance/store/transcript.ts";
import {
  INSTANCE_TRANSITIONS,
  MESSAGE_TRANSITIONS,
  nextAction,
  type ToolCallView,
  type TurnAction,
  type TurnRows,
  type TurnView,
} from "../../../src/instance/turn/next-action.ts";
import { runTool } from "../../../src/instance/turn/run-tool.ts";
import { toolContext } from "../../support/context.ts";
import { output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type Script, scriptModel } from "../../support/model.ts";

installModel();

describe("nextAction", () => {
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
    parkReason: state === "parked" ? "an answer" : null,
  });
  const after = (fields: Partial<TurnRows>): TurnAction =>
    nextAction({
      generation: "mine",
      ended: 0,
      turn: null,
      nextQueued: null,
      calls: [],
      maxSteps: 200,
      now: NOW,
      ...fields,
    });

  it.each<[string, Partial<TurnRows>, TurnAction]>([
    ["nothing is queued", {}, { kind: "rest" }],
    ["a message is queued", { nextQueued: 7 }, { kind: "start", n: 7 }],
    ["message 0, an initial prompt, is queued", { nextQueued: 0 }, { kind: "start", n: 0 }],
    ["it ends after the running turn, and none runs", { ended: 1, nextQueued: 7 }, { kind: "rest" }],
    ["it has ended", { ended: 2, nextQueued: 7 }, { kind: "rest" }],

    ["a dead runner left a ready turn", { turn: turn({ generation: "dead" }) }, { kind: "recover" }],
    ["a dead runner left a call", { turn: turn({ generation: "dead", phase: "calling" }) }, { kind: "recover" }],
    [
      "a dead runner left tools",
      { turn: turn({ generation: "dead", phase: "tools" }), calls: [call(1, "running")] },
      { kind: "recover" },
    ],
    [
      "a dead runner's turn is to be cancelled: it is taken over first",
      { ended: 2, turn: turn({ generation: "dead", cancelReason: "stop" }) },
      { kind: "recover" },
    ],
    ["its own runner says that a call is under way", { turn: turn({ phase: "calling" }) }, { kind: "recover" }],

    ["it ends after this turn", { ended: 1, turn: turn() }, { kind: "call_model" }],
    ["it has ended", { ended: 2, turn: turn() }, { kind: "cancel", reason: "the instance was terminated" }],
    [
      "it has ended, for a reason",
      { ended: 2, turn: turn({ cancelReason: "enough" }) },
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
      "one call is parked, another done",
      { turn: turn({ phase: "tools" }), calls: [call(1, "done"), call(2, "parked")] },
      { kind: "park", until: null, reason: "an answer" },
    ],
    [
      "calls are parked for different times",
      { turn: turn({ phase: "tools" }), calls: [call(1, "parked", NOW + 9), call(2, "parked", NOW + 5)] },
      { kind: "park", until: NOW + 5, reason: "an answer" },
    ],
    [
      "the turn has to be over before the parked call's time",
      { turn: turn({ phase: "tools", deadline: NOW + 2 }), calls: [call(1, "parked", NOW + 9)] },
      { kind: "park", until: NOW + 2, reason: "an answer" },
    ],
    [
      "a parked call's time is over",
      { turn: turn({ phase: "tools" }), calls: [call(1, "parked", NOW), call(2, "parked")] },
      { kind: "run_tools", ids: [1] },
    ],
    [
      "a turn with parked calls is stopped",
      { turn: turn({ phase: "tools", cancelReason: "enough" }), calls: [call(1, "parked")] },
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
      ended: 0,
      turn: Object.freeze(turn({ phase: "tools" })),
      nextQueued: null,
      calls: Object.freeze(calls),
      maxSteps: 200,
      now: NOW,
    });
    expect(nextAction(rows)).toEqual(nextAction(rows));
  });
});

describe("the transition tables", () => {
  let skew = 0;
  const observed = { message: new Set<string>(), instance: new Set<string>() };
  const scripts = new Map<string, () => Script | Promise<Script>>();
  const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);
  const registry = () => env.ORCHESTRATOR.getByName("default");

  /** SQLite itself keeps every change of the column `state` from now on. */
  const WATCH = (table: string, key: string) => `
    CREATE TABLE watched (key, before TEXT, after TEXT);
    CREATE TRIGGER watch_${table} AFTER UPDATE OF state ON ${table} WHEN OLD.state IS NOT NEW.state
    BEGIN INSERT INTO watched VALUES (OLD.${key}, OLD.state, NEW.state); END;`;
  const read = (state: DurableObjectState) =>
    state.storage.sql
      .exec<{ before: string; after: string }>("SELECT before, after FROM watched")
      .toArray()
      .map((row) => `${row.before} -> ${row.after}`);

  /** A spawned instance whose messages' states are watched. Its model does what `script` says, for every call. */
  async function watchedInstance(name: string, script: () => Script | Promise<Script>): Promise<string> {
    scripts.set(name, script);
    const id = await spawn({ name });
    await output(id);
    await runInDurableObject(objectOf(id), (_instance, state) => {
      state.storage.sql.exec(WATCH("message", "n"));
    });
    return id;
  }
  const queue = (id: string, message: string, input: Record<string, unknown> = {}) =>
    send(id, message, { wait_for_response: false, ...input });
  const inState = (id: string, ...states: string[]) =>
    until(async () => {
      const record = await status(id);
      return states.includes(String(record.state)) && record;
    });
  const stateOf = (id: string, n: number) =>
    runInDurableObject(
      objectOf(id),
      (_instance, { storage }) =>
        storage.sql.exec<{ state: string }>("SELECT state FROM message WHERE n = ?", n).one().state,
    );
  const finished = (id: string, n: number) =>
    until(async () => {
      const state = await stateOf(id, n);
      return isFinal(state as (typeof MESSAGE_STATES)[number]) && state;
    });
  async function elapse(id: string, ms: number): Promise<void> {
    skew += ms;
    await runDurableObjectAlarm(objectOf(id));
  }

  const say = (text: string): Script => ({ blocks: [{ type: "text", text }] });
  const broken = (httpStatus: number, type: string, extra: { retryAfterSeconds?: number } = {}): Script => ({
    fault: { kind: "status", status: httpStatus, type, message: "no", ...extra },
  });
  /** Each script once, the last one for ever. */
  const inOrder = (...steps: Script[]) => {
    let i = 0;
    return () => steps[Math.min(i++, steps.length - 1)] as Script;
  };

  beforeAll(async () => {
    const real = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => real() + skew);
    scriptModel((call) => {
      const about = JSON.stringify(call.body.messages);
      for (const [name, script] of scripts) if (about.includes(`<${name}>`)) return script();
      return say("Well.");
    });
    await spawn();
    await runInDurableObject(registry(), (_object, state) => {
      state.storage.sql.exec(WATCH("instance", "instance_id"));
    });

    const ids: string[] = [];
    const watched = async (...given: Parameters<typeof watchedInstance>) => {
      const id = await watchedInstance(...given);
      ids.push(id);
      return id;
    };

    const plain = await watched("plain", () => say("Yes."));
    await send(plain, "<plain>");

    const later = await watched("later", inOrder(broken(500, "api_error"), say("At last.")));
    await queue(later, "<later>");
    await inState(later, "waiting");
    await elapse(later, 2_000);
    await finished(later, 1);

    const failing = await watched("failing", inOrder(broken(401, "authentication_error"), say("Better now.")));
    await send(failing, "<failing> one");
    await inState(failing, "error");
    await send(failing, "<failing> two");

    const refusing = await watched("refusing", () => ({ ...say("no"), stopReason: "refusal" }));
    await send(refusing, "<refusing>");
    await inState(refusing, "error");
    await tool("terminate_instance", { instance_id: refusing });

    const exhausted = await watched("exhausted", () => broken(503, "api_error"));
    await queue(exhausted, "<exhausted>");
    for (let i = 0; i < MAX_TRIES.server_error && (await stateOf(exhausted, 1)) !== "failed"; i++) {
      await inState(exhausted, "waiting", "error");
      await elapse(exhausted, 70_000);
    }
    await finished(exhausted, 1);

    const stopped = await watched("stopped", () => ({ delayMs: 3_600_000 }));
    await queue(stopped, "<stopped> one");
    await queue(stopped, "<stopped> two");
    await inState(stopped, "busy");
    await tool("terminate_instance", { instance_id: stopped, force: true });
    await finished(stopped, 1);
    await finished(stopped, 2);

    const limited = await watched("limited", () => broken(429, "rate_limit_error", { retryAfterSeconds: 600 }));
    await queue(limited, "<limited>");
    await inState(limited, "waiting");
    await tool("terminate_instance", { instance_id: limited, force: true });
    await finished(limited, 1);
    skew += 700_000;

    const prompted = await tool("spawn_claude", { name: "prompted", initial_prompt: "Begin." });
    await inState(String(prompted.instance_id), "idle");
    await tool("terminate_instance", { instance_id: prompted.instance_id });
    const hasty = await tool("spawn_claude", { name: "hasty", initial_prompt: "Begin." });
    await tool("terminate_instance", { instance_id: hasty.instance_id });

    for (const id of ids) {
      const seen = await runInDurableObject(objectOf(id), (_instance, state) => read(state));
      for (const transition of seen) observed.message.add(transition);
    }
    const seen = await runInDurableObject(registry(), (_object, state) => read(state));
    for (const transition of seen) observed.instance.add(transition);
  }, 60_000);

  afterAll(() => {
    vi.mocked(Date.now).mockRestore();
    scriptModel(() => undefined);
  });

  const pairs = (table: Record<string, readonly string[]>) =>
    Object.entries(table).flatMap(([before, afters]) => afters.map((after) => `${before} -> ${after}`));

  it("name every state there is, and only final ones have no way on", () => {
    expect(Object.keys(MESSAGE_TRANSITIONS).sort()).toEqual([...MESSAGE_STATES].sort());
    expect(Object.keys(INSTANCE_TRANSITIONS).sort()).toEqual([...INSTANCE_STATES].sort());
    for (const state of MESSAGE_STATES) expect(MESSAGE_TRANSITIONS[state].length === 0).toBe(isFinal(state));
    expect(INSTANCE_STATES.filter((state) => INSTANCE_TRANSITIONS[state].length === 0)).toEqual(["terminated"]);
  });

  it("allow everything that messages really go through", () => {
    const allowed = pairs(MESSAGE_TRANSITIONS);
    expect([...observed.message].filter((transition) => !allowed.includes(transition))).toEqual([]);
  });

  it("hold nothing for messages that never happens", () => {
    // A turn that waits is tried again before it can fail: no scenario from outside leads from one to the other.
    // A passive message goes back when its turn is refused: see rollback.test.ts.
    const unreachable = ["waiting -> failed", "running -> queued"];
    const missing = pairs(MESSAGE_TRANSITIONS).filter((transition) => !observed.message.has(transition));
    expect(missing.filter((transition) => !unreachable.includes(transition))).toEqual([]);
  });

  it("allow everything that instances really go through", () => {
    const allowed = pairs(INSTANCE_TRANSITIONS);
    expect([...observed.instance].filter((transition) => !allowed.includes(transition))).toEqual([]);
    expect(observed.instance.size).toBeGreaterThan(7);
  });
});

describe("classify", () => {
  const api = (
    httpStatus: number | undefined,
    type: string,
    message: string,
    headers: Record<string, string> = {},
    details: Record<string, unknown> | null = null,
  ) =>
    new APIError(
      httpStatus,
      { type: "error", error: { type, message, details }, request_id: "req_1" },
      message,
      new Headers(headers),
      type as ConstructorParameters<typeof APIError>[4],
    );
  const spendLimit = (code: string) => api(429, "rate_limit_error", "You have reached it", {}, { error_code: code });

  it.each<[string, unknown, string, string | null]>([
    ["a stall", new StalledError("silence"), "retry", "stalled"],
    ["an end before message_stop", new CutOffError("eof"), "retry", "cut_off"],
    ["no connection", new APIConnectionError({ message: "refused" }), "retry", "connection"],
    ["the caller's abort", new APIUserAbortError(), "aborted", null],
    ["an abort of fetch", new DOMException("aborted", "AbortError"), "aborted", null],
    ["a broken socket", new TypeError("terminated"), "retry", "cut_off"],
    ["an event that is no JSON", new SyntaxError("Unexpected token"), "retry", "server_error"],
    ["anything else", "a string", "retry", "cut_off"],
    ["429", api(429, "rate_limit_error", "slow down"), "retry", "rate_limited"],
    ["429 for the organization's own limit", spendLimit("enforced_spend_limit_reached"), "fatal", null],
    ["429 for the contract's limit", spendLimit("contract_spend_limit_reached"), "fatal", null],
    ["429 for a linked organization's", spendLimit("linked_organization_spend_limit_reached"), "fatal", null],
    ["429 for something yet unheard of", spendLimit("some_other_code"), "retry", "rate_limited"],
    ["529", api(529, "overloaded_error", "Overloaded"), "retry", "overloaded"],
    ["500", api(500, "api_error", "oops"), "retry", "server_error"],
    ["502", api(502, "api_error", "oops"), "retry", "server_error"],
    ["503", api(503, "api_error", "oops"), "retry", "server_error"],
    ["504", api(504, "timeout_error", "oops"), "retry", "server_error"],
    ["408", api(408, "timeout_error", "oops"), "retry", "server_error"],
    ["409", api(409, "conflict_error", "oops"), "retry", "server_error"],
    ["an overloaded event in the stream", api(undefined, "overloaded_error", "Overloaded"), "retry", "overloaded"],
    ["an api_error event in the stream", api(undefined, "api_error", "oops"), "retry", "server_error"],
    ["a rate limit event in the stream", api(undefined, "rate_limit_error", "oops"), "retry", "rate_limited"],
    ["an unknown event in the stream", api(undefined, "new_error", "oops"), "retry", "server_error"],
    ["an invalid request event in the stream", api(undefined, "invalid_request_error", "oops"), "fatal", null],
    ["400", api(400, "invalid_request_error", "tools: invalid"), "fatal", null],
    ["400 for length", api(400, "invalid_request_error", "prompt is too long: 9 tokens > 8"), "too_long", null],
    [
      "400 for length with max_tokens",
      api(400, "invalid_request_error", "input length and max_tokens exceed context limit"),
      "too_long",
      null,
    ],
    ["401", api(401, "authentication_error", "bad key"), "fatal", null],
    ["402", api(402, "billing_error", "no credit"), "fatal", null],
    ["403", api(403, "permission_error", "no"), "fatal", null],
    ["404", api(404, "not_found_error", "model: x"), "fatal", null],
    ["413", api(413, "request_too_large", "too big"), "too_long", null],
    ["422", api(422, "invalid_request_error", "no"), "fatal", null],
    ["5xx that says not to retry", api(503, "api_error", "no", { "x-should-retry": "false" }), "fatal", null],
    ["4xx that says to retry", api(418, "api_error", "later", { "x-should-retry": "true" }), "retry", "server_error"],
    // reference/anthropic-api.md 2.9: "x-should-retry true/false wins".
    ["429 that says not to retry", api(429, "rate_limit_error", "no", { "x-should-retry": "false" }), "fatal", null],
    ["529 that says not to retry", api(529, "overloaded_error", "no", { "x-should-retry": "false" }), "fatal", null],
  ])("%s", (_name, error, kind, reason) => {
    const failure = classify(error);
    expect([failure.kind, failure.kind === "retry" ? failure.reason : null]).toEqual([kind, reason]);
    if (failure.kind !== "aborted") {
      expect(failure.error.code).toBe("upstream_error");
      expect(failure.error.message.length).toBeGreaterThan(20);
    }
  });

  it.each([
    ["retry-after in seconds", { "retry-after": "7" }, 7_000],
    ["retry-after 0", { "retry-after": "0" }, null],
    ["retry-after-ms", { "retry-after-ms": "1500" }, 1_500],
    ["both", { "retry-after-ms": "1500", "retry-after": "7" }, 1_500],
    ["a date in the past", { "retry-after": "Wed, 01 Jan 2020 00:00:00 GMT" }, null],
    ["nonsense", { "retry-after": "soon" }, null],
    ["a negative number", { "retry-after": "-5" }, null],
    ["a moment", { "retry-after-ms": "3" }, 1_000],
    ["a day", { "retry-after": "86400" }, 300_000],
    ["a number beyond every date", { "retry-after": "1e300" }, 300_000],
    ["no number at all", { "retry-after": "Infinity" }, 300_000],
    ["nothing", {}, null],
  ])("takes the time to wait from %s", (_name, headers, afterMs) => {
    for (const httpStatus of [429, 529, 503]) {
      expect(classify(api(httpStatus, "api_error", "later", headers))).toMatchObject({ kind: "retry", afterMs });
    }
  });

  it("takes a date in the future as the time until then", () => {
    const failure = classify(
      api(429, "rate_limit_error", "later", { "retry-after": new Date(Date.now() + 90_000).toUTCString() }),
    ) as Extract<CallFailure, { kind: "retry" }>;
    expect(failure.afterMs).toBeGreaterThan(85_000);
    expect(failure.afterMs).toBeLessThanOrEqual(90_000);
  });

  it("passes on what the API said, but no page of a proxy", () => {
    const said = classify(api(400, "invalid_request_error", "tools.0: bad")) as { error: { message: string } };
    expect(said.error.message).toContain("tools.0: bad");
    const page = classify(new APIError(502, "<html>gateway</html>" as never, "<html>", new Headers()));
    expect(JSON.stringify(page)).not.toContain("<html>");
  });
});

describe("retryDelay", () => {
  it.each([
    ["the first failure, at the least", 1, null, 0, 500],
    ["the first failure, at the most", 1, null, 1, 1_000],
    ["the second", 2, null, 1, 2_000],
    ["the fifth, in the middle", 5, null, 0.5, 12_000],
    ["the ceiling", 7, null, 1, 60_000],
    ["far beyond the ceiling", 1_000, null, 1, 60_000],
    ["none yet", 0, null, 1, 1_000],
    ["what the API asked for", 9, 5_000, 0, 5_000],
    ["that and a tenth, at the most", 1, 5_000, 1, 5_500],
    ["at once, if it says so", 3, 0, 1, 0],
  ])("%s", (_name, failures, afterMs, random, delay) => {
    expect(retryDelay(failures, afterMs, random)).toBe(delay);
  });
});

describe("ReplyBuilder", () => {
  const start = {
    type: "message_start",
    message: { id: "msg_1", model: "m", usage: { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 5 } },
  };
  const opened = (index: number, content_block: Record<string, unknown>) => ({
    type: "content_block_start",
    index,
    content_block,
  });
  const delta = (index: number, type: string, fields: Record<string, unknown>) => ({
    type: "content_block_delta",
    index,
    delta: { type, ...fields },
  });
  const closed = (index: number) => ({ type: "content_block_stop", index });
  const stop = (stop_reason: string, usage: Record<string, unknown> = { output_tokens: 9 }) => [
    { type: "message_delta", delta: { stop_reason }, usage },
    { type: "message_stop" },
  ];
  const use = { type: "tool_use", id: "t1", name: "lookup", input: {} };
  const build = (...events: unknown[]) => {
    const builder = new ReplyBuilder();
    for (const event of events.flat()) builder.add(event as RawMessageStreamEvent);
    return builder.reply;
  };

  it.each<[string, string[], unknown, boolean]>([
    ["in one piece", ['{"value":"x"}'], { value: "x" }, false],
    ["in single characters", [...'{"value":"é😀"}'], { value: "é😀" }, false],
    ["after an empty piece", ["", '{"a":', "", "1}"], { a: 1 }, false],
    ["with nothing at all", [], {}, false],
    ["with an empty piece alone", [""], {}, false],
    ["cut in the middle", ['{"value":"x'], {}, true],
    ["malformed", ['{"value":1, oops}'], {}, true],
    ["a list", ["[1]"], {}, true],
    ["a bare value", ["null"], {}, true],
  ])("reads tool input %s", (_name, pieces, input, isBroken) => {
    const reply = build(
      start,
      opened(0, { ...use }),
      pieces.map((partial_json) => delta(0, "input_json_delta", { partial_json })),
      closed(0),
      stop("tool_use"),
    );
    expect(reply.blocks).toEqual([{ ...use, input }]);
    expect([...reply.brokenInputs]).toEqual(isBroken ? ["t1"] : []);
  });

  it("keeps interleaved blocks verbatim and in order", () => {
    const reply = build(
      start,
      { type: "ping" },
      opened(0, { type: "thinking", thinking: "", signature: "" }),
      opened(1, { type: "text", text: "", citations: null }),
      delta(1, "text_delta", { text: "Hel" }),
      delta(0, "thinking_delta", { thinking: "hm" }),
      delta(0, "signature_delta", { signature: "sig" }),
      delta(1, "text_delta", { text: "lo" }),
      delta(1, "citations_delta", { citation: { cited: "a" } }),
      delta(1, "citations_delta", { citation: { cited: "b" } }),
      closed(1),
      closed(0),
      stop("end_turn"),
    );
    expect(reply.blocks).toEqual([
      { type: "thinking", thinking: "hm", signature: "sig" },
      { type: "text", text: "Hello", citations: [{ cited: "a" }, { cited: "b" }] },
    ]);
    expect(reply).toMatchObject({ complete: true, stopReason: "end_turn", apiMessageId: "msg_1" });
  });

  it("takes what it doesn't know without a stumble", () => {
    const reply = build(
      start,
      { type: "some_new_event", index: 9 },
      delta(4, "text_delta", { text: "of no block" }),
      closed(4),
      opened(2, { type: "brand_new_block", payload: { deep: [1] } }),
      delta(2, "brand_new_delta", { payload: 1 }),
      closed(2),
      stop("some_new_reason"),
    );
    expect(reply.blocks).toEqual([{ type: "brand_new_block", payload: { deep: [1] } }]);
    expect(reply.stopReason).toBe("some_new_reason");
  });

  it("has the usage so far before the end, and the API's last word at it", () => {
    const early = build(start, opened(0, { type: "text", text: "" }), delta(0, "text_delta", { text: "x" }));
    expect(early).toMatchObject({ complete: false, stopReason: null, usage: { input: 10, output: 1, cacheRead: 5 } });
    const usage = { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: null, cache_creation_input_tokens: 3 };
    const done = build(start, stop("end_turn", usage));
    expect(done.usage).toEqual({ ...NO_USAGE, input: 11, output: 7, cacheRead: 5, cacheWrite5m: 3 });
  });

  it("keeps the split of cache writes that only the start has", () => {
    const split = { cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 40 } };
    const usage = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 140, ...split };
    const reply = build(
      { type: "message_start", message: { id: "m", model: "m", usage } },
      stop("end_turn", { output_tokens: 2, cache_creation_input_tokens: 140 }),
    );
    expect(reply.usage).toMatchObject({ cacheWrite5m: 100, cacheWrite1h: 40 });
  });

  it.each([-1, 1.5, "7", null, Number.NaN])("does not count %s as tokens", (output_tokens) => {
    expect(build(start, stop("end_turn", { output_tokens })).usage.output).toBe(1);
  });
});

describe("partsOf", () => {
  /** Mulberry32: the same numbers in every run. */
  const random = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };

  it("cuts any text into parts that fit, are whole characters, and make the text again", () => {
    const next = random(20_261_122);
    for (let round = 0; round < 12; round++) {
      const length = Math.floor(next() * 1_600_000);
      const alphabet = ["a", "é", "漢", "😀", "👩‍💻"];
      const unit = Array.from({ length: 997 }, () => alphabet[Math.floor(next() * alphabet.length)]).join("");
      const text = unit
        .repeat(Math.ceil(length / unit.length) + 1)
        .slice(Math.floor(next() * 7))
        .toWellFormed();
      const parts = partsOf(text);
      expect(parts.join("") === text).toBe(true);
      for (const part of parts) {
        expect(part.isWellFormed()).toBe(true);
        expect(new TextEncoder().encode(part).length).toBeLessThan(2_000_000);
        expect(part.length).toBeGreaterThan(0);
      }
    }
  });

  it.each([499_999, 500_000, 500_001])("holds at the edge: a pair that begins after %i units", (before) => {
    const text = `${"x".repeat(before - 1)}😀${"y".repeat(10)}`;
    const parts = partsOf(text);
    expect(parts.join("") === text).toBe(true);
    expect(parts.every((part) => part.isWellFormed())).toBe(true);
  });

  it("leaves a short text, and an empty one, in one part", () => {
    expect(partsOf("")).toEqual([""]);
    expect(partsOf("😀")).toEqual(["😀"]);
  });
});

describe("runTool", () => {
  const made = (fields: Partial<InstanceTool>): InstanceTool => ({
    name: "made",
    description: "For this test.",
    input_schema: { type: "object" },
    repeatable: true,
    preset: "read_only",
    run: async () => ({ content: "fine" }),
    ...fields,
  });
  const context = (signal: AbortSignal = new AbortController().signal) => toolContext({ signal });
  const resultOf = async (...call: Parameters<typeof runTool>) => {
    const result = await runTool(...call);
    if ("waitpoint" in result || "stopped" in result) return expect.fail("It gave no result.");
    return result;
  };

  it.each<[string, InstanceTool | undefined, { content: string; isError: boolean }]>([
    ["a result", made({}), { content: "fine", isError: false }],
    [
      "an error of the tool's own making",
      made({ run: async () => ({ content: "no such row", isError: true }) }),
      { content: "no such row", isError: true },
    ],
    ["a tool that does not exist", undefined, { content: "There is no tool named made.", isError: true }],
    [
      "an exception",
      made({
        run: async () => {
          throw new Error("the disk is on fire");
        },
      }),
      { content: "the disk is on fire", isError: true },
    ],
    [
      "an exception before the first await",
      made({
        run: () => {
          throw new RangeError("at once");
        },
      }),
      { content: "at once", isError: true },
    ],
    [
      "something thrown that is no error",
      made({ run: () => Promise.reject("just text") }),
      { content: "just text", isError: true },
    ],
    [
      "a lone surrogate",
      made({ run: async () => ({ content: `half \ud83d` }) }),
      { content: "half \ufffd", isError: false },
    ],
    [
      "a tool that never ends",
      made({ timeoutMs: 30, run: () => new Promise(() => undefined) }),
      { content: "The tool took longer than 0.03 s and was stopped.", isError: true },
    ],
  ])("gives %s to the model", async (_name, given, result) => {
    expect(await runTool(given, "made", {}, context())).toEqual(result);
  });

  it("gives the tool its input and its key", async () => {
    const run = vi.fn(async () => ({ content: "" }));
    await runTool(made({ run }), "made", { value: 1 }, context());
    expect(run).toHaveBeenCalledWith({ value: 1 }, expect.objectContaining({ key: "inst_1:t1", tenant: "default" }));
  });

  it("answers something that is no text with an error, not with an exception", async () => {
    const run = async () => ({}) as never;
    expect(await runTool(made({ run }), "made", {}, context())).toMatchObject({ isError: true });
  });

  it.each(["before it began", "while it runs"])("stops a tool that was cancelled %s", async (when) => {
    const controller = new AbortController();
    if (when === "before it began") controller.abort();
    const running = runTool(made({ run: () => new Promise(() => undefined) }), "made", {}, context(controller.signal));
    controller.abort();
    expect(await running).toEqual({ stopped: true });
  });

  it("tells a tool that its time is over", async () => {
    let signal: AbortSignal | undefined;
    const run = (_input: unknown, given: InstanceToolContext) => {
      signal = given.signal;
      return new Promise<never>(() => undefined);
    };
    await runTool(made({ run, timeoutMs: 10 }), "made", {}, context());
    expect(signal?.aborted).toBe(true);
  });

  it.each([
    ["a result that just fits", 200_000, 200_000, null],
    ["one that is too long", 200_007, 200_000, "[7 more characters were cut off"],
  ])("bounds %s", async (_name, length, kept, note) => {
    const { content, isError } = await resultOf(
      made({ run: async () => ({ content: "z".repeat(length) }) }),
      "made",
      {},
      context(),
    );
    expect(isError).toBe(false);
    expect(content.lastIndexOf("z") + 1).toBe(kept);
    if (note) expect(content).toContain(note);
    else expect(content).toHaveLength(length);
  });

  it("does not leave half a character at the cut", async () => {
    const run = async () => ({ content: `${"z".repeat(199_999)}😀😀` });
    const { content } = await resultOf(made({ run }), "made", {}, context());
    expect(content.isWellFormed()).toBe(true);
  });

  it("bounds the message of an exception too", async () => {
    const run = () => Promise.reject(new Error("e".repeat(300_000)));
    const { content, isError } = await resultOf(made({ run }), "made", {}, context());
    expect(isError).toBe(true);
    expect(content.length).toBeLessThan(200_200);
  });
});
