/**
 * The fault matrix: everything that can go wrong with a model call, in the first, a middle and the last call of a turn,
 * with what becomes of the message. Nobody waits in real time: the clock is moved on, and the alarm is run.
 */

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { MAX_TRIES } from "../../../src/anthropic/failure.ts";
import { isFinal, type MessageView } from "../../../src/contracts/instance.ts";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { MAX_RESUMES } from "../../../src/instance/turn/model-answers.ts";
import { ranTools } from "../../entry/tools.ts";
import { output, send, spawn, status, tool, until } from "../../support/door.ts";
import { installModel, type Script, type ScriptCall, scriptModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";

const model = installModel();

/** How far the clock of the Worker is ahead: it goes on, unlike a frozen one, so that watchdogs work. */
let skew = 0;

interface Case {
  /** Calls of this turn that got an answer which counts as one of its three. */
  done: number;
  position: number;
  fault(call: ScriptCall): Script;
  /** Faults that are still to come. */
  left: number;
  calls: number;
}

const cases = new Map<string, Case>();
/** 400s that a script asked for. */
let ordered400 = 0;
let serial = 0;
/** Whether the API makes a summary when it is asked for one. */
let summarizes = true;

/** A turn of three calls: a lookup, another one, the answer. */
function script(call: ScriptCall): Script {
  const marker = /\[case \d+\]/.exec(call.lastUserText)?.[0] ?? "";
  const found = cases.get(marker);
  if (call.body.compaction) {
    if (!summarizes) return { blocks: [{ type: "text", text: "No summary today." }] };
    return { autoThinking: false, blocks: [{ type: "raw", block: { type: "compaction", content: "They talked." } }] };
  }
  if (!found) return { blocks: [{ type: "text", text: "A plain answer." }] };
  found.calls += 1;
  if (found.done === found.position && found.left > 0) {
    found.left -= 1;
    const faulty = found.fault(call);
    if (faulty.fault?.kind === "status" && faulty.fault.status === 400) ordered400 += 1;
    return faulty;
  }
  found.done += 1;
  if (found.done < 3) {
    const input = { value: `${marker} call ${found.done}` };
    return {
      blocks: [
        { type: "text", text: "Let me see." },
        { type: "tool_use", name: "lookup", input },
      ],
    };
  }
  return { blocks: [{ type: "text", text: "The whole answer." }] };
}

beforeAll(() => {
  const real = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => real() + skew);
  scriptModel(script);
});

afterAll(() => {
  vi.mocked(Date.now).mockRestore();
  scriptModel(() => undefined);
});

/** Where message `n` ends. Whenever it waits, the clock is moved to when it goes on, and its alarm runs. */
async function settled(id: string, n: number): Promise<MessageView> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const view = await instanceOf(env, "default", id).message(n, 50);
    if (!view.ok) throw new Error(view.error.message);
    if (isFinal(view.value.state)) return view.value;
    const until = view.value.waiting_for?.until;
    if (until) {
      skew += Math.max(0, Date.parse(until) - Date.now() + 1);
      await runDurableObjectAlarm(objectOf(id));
    }
    if (performance.now() > deadline) throw new Error(`The message stayed ${view.value.state}.`);
  }
}

async function sendAndSettle(id: string, message: string): Promise<MessageView> {
  const sent = await send(id, message, { wait_for_response: false });
  if (!sent.success) throw new Error(sent.message);
  return settled(id, Number(/_(\d+)$/.exec(String(sent.message_id))?.[1]));
}

/** What a case's script counts, under a marker that its message carries. */
function newCase(position: number, fault: Case["fault"], left: number): [marker: string, found: Case] {
  const marker = `[case ${serial++}]`;
  const found: Case = { done: 0, position, fault, left, calls: 0 };
  cases.set(marker, found);
  return [marker, found];
}

/** Opens the tenant's gate for model calls, or leaves `allowed` places, as after the API pushed back. */
async function setGate(allowed: number | null): Promise<void> {
  const stub = env.ORCHESTRATOR.getByName("default");
  await runInDurableObject(stub, (_object, { storage: { sql } }) => {
    sql.exec("DELETE FROM gate");
    if (allowed !== null)
      sql.exec("INSERT INTO gate (id, allowed, blocked_until, changed_at) VALUES (1, ?, 0, 0)", allowed);
  });
  // The gate reads its row when the object begins. Whoever was held at it is not waited for.
  await abortAllDurableObjects();
}

/** What the newest call about `text` sent, as text. */
function lastCallAbout(text: string): string {
  for (const { body } of model.simulator.journal.toReversed()) {
    const messages = JSON.stringify(body?.messages ?? []);
    if (messages.includes(text)) return messages;
  }
  return "";
}

const broken =
  (status: number, type: string, more: Record<string, unknown> = {}) =>
  (): Script => ({
    fault: { kind: "status", status, type, message: `scripted ${status}`, ...more },
  });
const partly: Script = { blocks: [{ type: "text", text: "A beginning that nobody may keep." }] };
const refused = (): never => {
  throw new TypeError("connect ECONNREFUSED");
};
const toolCall = { type: "tool_use", name: "charge", input: { value: "never to be run, whatever happens" } } as const;
const paused = (call: ScriptCall): Script => ({
  stopReason: "pause_turn",
  blocks: [
    { type: "text", text: "Searching." },
    {
      type: "raw",
      block: { type: "server_tool_use", id: `srvtoolu_${call.n}`, name: "web_search", input: { query: "bees" } },
    },
  ],
});

const ONCE = 1;
const ALWAYS = Number.POSITIVE_INFINITY;

interface Expectation {
  name: string;
  fault: Case["fault"];
  times: number;
  state: MessageView["state"];
  error: string | null;
  /** Calls beyond those that the turn takes up to its end: three when it completes, those before the fault otherwise. */
  extra: number;
  /** What a failed message has to say. */
  says?: RegExp;
  /** The faulty answer is one all the same, or the beginning of one: the message stays in the conversation. */
  answered?: true;
  truncated?: true;
}

const row = (
  name: string,
  fault: Case["fault"],
  times: number,
  state: MessageView["state"],
  error: string | null,
  extra: number,
  more: Partial<Expectation> = {},
): Expectation => ({ name, fault, times, state, error, extra, ...more });

const MATRIX: readonly Expectation[] = [
  // Passing: tried again until it works.
  row("500", broken(500, "api_error"), ONCE, "completed", null, 1),
  row("503", broken(503, "api_error"), ONCE, "completed", null, 1),
  row("a proxy's page with 502", broken(502, "api_error", { html: true }), ONCE, "completed", null, 1),
  row("a refused connection", refused, ONCE, "completed", null, 1),
  row(
    "an api_error event in the stream",
    () => ({ ...partly, fault: { kind: "error_event", type: "api_error", message: "oops" } }),
    ONCE,
    "completed",
    null,
    1,
  ),
  row(
    "an end before message_stop",
    () => ({ ...partly, fault: { kind: "eof", afterChars: 9 } }),
    ONCE,
    "completed",
    null,
    1,
  ),
  row(
    "a reset in the stream",
    () => ({ ...partly, fault: { kind: "reset", afterChars: 9 } }),
    ONCE,
    "completed",
    null,
    1,
  ),

  // The same for ever: given up after its number of tries.
  row("500 for ever", broken(500, "api_error"), ALWAYS, "failed", "upstream_error", MAX_TRIES.server_error, {
    says: /scripted 500/,
  }),
  row(
    "a proxy's page for ever",
    broken(502, "api_error", { html: true }),
    ALWAYS,
    "failed",
    "upstream_error",
    MAX_TRIES.server_error,
    { says: /^[^<>]*HTTP 502[^<>]*$/ },
  ),
  row("no connection ever", refused, ALWAYS, "failed", "upstream_error", MAX_TRIES.connection, {
    says: /can't be reached/,
  }),
  row(
    "ends before message_stop for ever",
    () => ({ ...partly, fault: { kind: "eof", afterChars: 9 } }),
    ALWAYS,
    "failed",
    "upstream_error",
    MAX_TRIES.cut_off,
    { answered: true, says: /closed the stream/ },
  ),

  // Answers that are not what the turn needs.
  row(
    "malformed tool input",
    () => ({ blocks: [toolCall], fault: { kind: "malformed_tool_json" } }),
    ONCE,
    "completed",
    null,
    1,
    { answered: true },
  ),
  row(
    "max_tokens in a tool's input",
    () => ({ blocks: [toolCall], fault: { kind: "cut_tool_input" } }),
    ONCE,
    "completed",
    null,
    1,
    { answered: true },
  ),
  row(
    "max_tokens after a whole tool call",
    () => ({ blocks: [toolCall], stopReason: "max_tokens" }),
    ONCE,
    "completed",
    null,
    1,
    { answered: true },
  ),
  row(
    "max_tokens with text",
    () => ({ blocks: [{ type: "text", text: "So far" }], stopReason: "max_tokens" }),
    ONCE,
    "completed",
    null,
    1,
    { answered: true, truncated: true },
  ),
  row(
    "max_tokens without text",
    () => ({ blocks: [{ type: "thinking", thinking: "Hm, hm." }], stopReason: "max_tokens" }),
    ONCE,
    "failed",
    "limit_reached",
    1,
    { says: /max_tokens \(16000\).*larger max_tokens/ },
  ),
  row("pause_turn", paused, ONCE, "completed", null, 1, { answered: true }),
  row("pause_turn for ever", paused, ALWAYS, "completed", null, MAX_RESUMES + 1, { answered: true, truncated: true }),
  row(
    "a refusal",
    () => ({
      blocks: [{ type: "text", text: "I would rather" }],
      stopReason: "refusal",
      stopDetails: { type: "refusal", category: "bio", explanation: "It is about plagues." },
    }),
    ONCE,
    "refused",
    "refused",
    1,
    { says: /bio.*plagues.*send another/i },
  ),

  // Permanent: one attempt, and what to do.
  row(
    "429 for the spend limit",
    broken(429, "rate_limit_error", { errorCode: "enforced_spend_limit_reached" }),
    ONCE,
    "failed",
    "upstream_error",
    1,
    { says: /spend limit.*raise it/ },
  ),
  row("400", broken(400, "invalid_request_error"), ONCE, "failed", "upstream_error", 1, { says: /scripted 400/ }),
  row("401", broken(401, "authentication_error"), ONCE, "failed", "upstream_error", 1, { says: /ANTHROPIC_API_KEY/ }),
  row("402", broken(402, "billing_error"), ONCE, "failed", "upstream_error", 1, { says: /billing/ }),
  row("403", broken(403, "permission_error"), ONCE, "failed", "upstream_error", 1, { says: /permissions/ }),
  row("404", broken(404, "not_found_error"), ONCE, "failed", "upstream_error", 1, { says: /another model/ }),
];

/** Silence takes real time, a second each time: all of these run at once. */
const SILENCE: readonly Expectation[] = [
  row("a stall", () => ({ ...partly, fault: { kind: "stall", afterChars: 9 } }), ONCE, "completed", null, 1),
  row(
    "stalls for ever",
    () => ({ ...partly, fault: { kind: "stall", afterChars: 9 } }),
    ALWAYS,
    "failed",
    "upstream_error",
    MAX_TRIES.stalled,
    { answered: true, says: /stopped sending/ },
  ),
  row("no answer ever, not even headers", () => ({ delayMs: 3_600_000 }), ALWAYS, "failed", "upstream_error", 3),
];

/** The API pushes back, and the gate narrows for the whole tenant: these run one after another. */
const PUSHED_BACK: readonly Expectation[] = [
  row("429 with retry-after", broken(429, "rate_limit_error", { retryAfterSeconds: 7 }), ONCE, "completed", null, 1),
  row("529", broken(529, "overloaded_error"), ONCE, "completed", null, 1),
  row(
    "an overloaded event in the stream",
    () => ({ ...partly, fault: { kind: "error_event", type: "overloaded_error", message: "busy", afterChars: 9 } }),
    ONCE,
    "completed",
    null,
    1,
  ),
  row("429 for ever", broken(429, "rate_limit_error"), ALWAYS, "failed", "upstream_error", MAX_TRIES.rate_limited, {
    says: /limits the rate/,
  }),
  row("529 for ever", broken(529, "overloaded_error"), ALWAYS, "failed", "upstream_error", MAX_TRIES.overloaded, {
    says: /overloaded/,
  }),
];

const POSITIONS = [
  ["first", 0],
  ["middle", 1],
  ["last", 2],
] as const;

const everywhere = (rows: readonly Expectation[]) =>
  rows.flatMap((expected) =>
    POSITIONS.map(([where, position]) => ({ what: `${expected.name}, in the ${where} call`, position, ...expected })),
  );

async function holds(expected: Expectation & { position: number }): Promise<void> {
  const { position } = expected;
  const [marker, found] = newCase(position, expected.fault, expected.times);
  const id = await spawn({ name: marker });

  const view = await sendAndSettle(id, `Please: ${marker}`);
  const completes = expected.state === "completed" && !expected.truncated;
  expect({
    state: view.state,
    error: view.error?.code ?? null,
    attempts: found.calls,
    truncated: view.response?.truncated,
  }).toEqual({
    state: expected.state,
    error: expected.error,
    attempts: (completes ? 3 : position) + expected.extra,
    truncated: expected.truncated,
  });
  if (completes) expect(view.response?.response).toBe("The whole answer.");
  if (expected.says) expect(view.error?.message).toMatch(expected.says);
  // What broke off stays readable, and is no answer.
  const rows = (await output(id)).filter((shown) => shown.content.includes("nobody may keep"));
  expect(rows.filter((shown) => shown.type !== "progress")).toEqual([]);
  // A tool call that was not whole is never run, and neither is any beside it.
  expect(ranTools.filter((run) => run.tool === "charge" && run.key.startsWith(id))).toEqual([]);

  // Whatever happened, the instance takes the next message, and the API the conversation.
  cases.delete(marker);
  const plain = await sendAndSettle(id, `Go on, without ${id}.`);
  expect(plain.response?.response).toBe("A plain answer.");
  const kept = lastCallAbout(`without ${id}`).includes(marker);
  expect(kept).toBe(expected.state === "completed" || position > 0 || expected.answered === true);
  const record = await status(id);
  expect(record).toMatchObject({
    request_count: found.calls + 1,
    error_count: expected.state === "completed" ? 0 : 1,
  });
  expect(await openRows(id)).toEqual({ attempts: 0, calls: 0, open: null });
}

describe("a model that falls silent", () => {
  const table = everywhere(SILENCE);
  const running = new Map<string, Promise<void>>();
  beforeAll(() => {
    for (const expected of table) {
      const held = holds(expected);
      held.catch(() => undefined);
      running.set(expected.what, held);
    }
  });
  it.for(table)("$what: $state", ({ what }) => running.get(what));
});

describe.concurrent("a model call that goes wrong", () => {
  it.for(everywhere(MATRIX))("$what: $state", (expected) => holds(expected));
});

describe("an API that pushes back", () => {
  beforeEach(() => setGate(null));
  it.for(everywhere(PUSHED_BACK))("$what: $state", (expected) => holds(expected));
});

/** What is left under way in an instance: nothing, once a turn has ended. */
function openRows(id: string): Promise<{ attempts: number; calls: number; open: number | null }> {
  return runInDurableObject(objectOf(id), (_instance, { storage: { sql } }) => ({
    attempts: sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM model_call WHERE outcome = 'live'").one().n,
    calls: sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM tool_call WHERE state <> 'done'").one().n,
    open: sql.exec<{ open_n: number | null }>("SELECT open_n FROM instance").one().open_n,
  }));
}

describe("a conversation that no longer fits", () => {
  beforeAll(() => setGate(null));

  const full = {
    "the model says so": (): Script => ({
      blocks: [{ type: "thinking", thinking: "Too much." }],
      stopReason: "model_context_window_exceeded",
    }),
    "the API refuses it": broken(400, "invalid_request_error", { message: "prompt is too long: 9 tokens > 8 maximum" }),
    "the request is too large": broken(413, "request_too_large"),
  };
  const table = Object.entries(full).flatMap(([how, fault]) =>
    POSITIONS.map(([where, at]) => [how, where, fault, at] as const),
  );

  /** An instance with a past. Its model does not bind thinking to what came before, as the simulator signs no summary. */
  async function withPast(name: string): Promise<string> {
    const id = await spawn({ name, model: "claude-opus-4-8" });
    await sendAndSettle(id, `Long before ${id}.`);
    return id;
  }

  it.each(table)(
    "is summarized once and the turn goes on: %s in the %s call",
    async (_how, _where, fault, position) => {
      const [marker, found] = newCase(position, fault, 1);
      const id = await withPast(marker);
      const view = await sendAndSettle(id, `Please: ${marker}`);
      expect(view.error?.message).toBeUndefined();
      expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
      expect(found.calls).toBe(3 + 1);
      const sent = lastCallAbout(marker);
      expect(sent).toContain("They talked.");
      expect(sent).not.toContain(`Long before ${id}.`);
      // Nothing is lost to a reader.
      const rows = await output(id);
      expect(rows.map((shown) => shown.type)).toContain("notice");
      expect(rows[0]?.content).toBe(`Long before ${id}.`);
      const plain = await sendAndSettle(id, `Go on, without ${id}.`);
      expect(plain.response?.response).toBe("A plain answer.");
    },
  );

  it.each(Object.entries(full))("ends the turn when the message alone is too long: %s", async (_how, fault) => {
    const [marker] = newCase(0, fault, 2);
    const id = await withPast(marker);
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view).toMatchObject({ state: "failed", error: { code: "too_large" } });
    expect(view.error?.message).toMatch(/Send it in parts.*left out of the conversation/);
    const plain = await sendAndSettle(id, `Go on, without ${id}.`);
    expect(plain.response?.response).toBe("A plain answer.");
  });

  it("keeps what a model said before it ran out of room, marked as cut", async () => {
    const [marker] = newCase(0, () => ({ ...partly, stopReason: "model_context_window_exceeded" }), 1);
    const id = await spawn({ name: marker });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view).toMatchObject({ state: "completed", response: { truncated: true } });
    expect(view.response?.response).toContain("A beginning");
  });

  it("makes room within one step of five large results, whose turn goes on", async () => {
    const five = (): Script => ({
      blocks: Array.from({ length: 5 }, () => ({ type: "tool_use", name: "large", input: { value: "39000" } })),
    });
    const [marker, found] = newCase(0, five, 1);
    found.done = 2;
    found.position = 2;
    const id = await spawn({ name: marker, model: "claude-haiku-4-5", max_total_tokens: 1e9 });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
    // The API finds the five too long by itself.
    ordered400 += 1;
    expect(lastCallAbout(marker)).toContain("more characters were left out to make room");
    expect((await sendAndSettle(id, `Go on, without ${id}.`)).response?.response).toBe("A plain answer.");
  });

  it("shortens what it is made of until a summary fits, and goes on without one when none can be had", async () => {
    const id = await withPast("Summed");
    const [marker] = newCase(0, full["the API refuses it"], 1);
    summarizes = false;
    const view = await sendAndSettle(id, `Please: ${marker}`).finally(() => {
      summarizes = true;
    });
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
    expect(lastCallAbout(marker)).toContain("was too long to be summarized");
    expect(lastCallAbout(marker)).not.toContain(`Long before ${id}.`);
  });

  it("is summarized from compact_at_tokens on, long before it is full", async () => {
    const id = await spawn({ model: "claude-opus-4-8", compact_at_tokens: 10_000 });
    const long = "lorem ipsum dolor sit amet ".repeat(2_000);
    await sendAndSettle(id, `First: ${long}`);
    expect(lastCallAbout("First:")).not.toContain("They talked.");
    await sendAndSettle(id, `Second, to ${id}.`);
    const sent = lastCallAbout(`Second, to ${id}.`);
    expect(sent).toContain("They talked.");
    expect(sent).not.toContain("lorem ipsum");
    // What is left is small: it is not summarized again.
    await sendAndSettle(id, `Third, to ${id}.`);
    const summaries = model.simulator.journal.filter(
      ({ body }) => body?.compaction && JSON.stringify(body.messages).includes(id),
    );
    expect(summaries.length).toBe(1);
  });

  it("runs no tool call of an answer that ended for want of room", async () => {
    const [marker] = newCase(0, () => ({ blocks: [toolCall], stopReason: "model_context_window_exceeded" }), 2);
    const id = await withPast(marker);
    expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    expect(ranTools.filter((run) => run.tool === "charge" && run.key.startsWith(id))).toEqual([]);
  });
});

describe("waiting for the API", () => {
  beforeAll(() => setGate(null));

  it("lasts as long as retry-after says, and is told", async () => {
    const [marker, found] = newCase(0, broken(429, "rate_limit_error", { retryAfterSeconds: 240 }), 1);
    const id = await spawn({ name: marker });
    const sent = await send(id, `Please: ${marker}`, { timeout_seconds: 1 });
    expect(sent).toMatchObject({ success: true, status: "working", waiting_for: { reason: "rate_limited" } });
    const until = Date.parse((sent.waiting_for as { until: string }).until);
    expect(until - Date.now()).toBeGreaterThan(230_000);
    skew += 230_000;
    await runDurableObjectAlarm(objectOf(id));
    expect(found.calls).toBe(1);
    expect(await status(id)).toMatchObject({ state: "waiting", waiting_for: { reason: "rate_limited" } });
    expect(await settled(id, 1)).toMatchObject({ state: "completed" });
    expect(found.calls).toBe(4);
  });

  it("is not cut short by an eviction, however often the API has refused before", async () => {
    const [marker, found] = newCase(0, broken(429, "rate_limit_error", { retryAfterSeconds: 1 }), 25);
    const id = await spawn({ name: marker });
    await send(id, `Please: ${marker}`, { wait_for_response: false });
    for (;;) {
      const view = await instanceOf(env, "default", id).message(1, 50);
      const until = view.ok ? view.value.waiting_for?.until : null;
      if (!until) continue;
      if (found.calls >= 22) break;
      skew += Math.max(0, Date.parse(until) - Date.now() + 1);
      await runDurableObjectAlarm(objectOf(id));
    }
    await evictDurableObject(objectOf(id));
    const view = await settled(id, 1);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
  });
});

describe("the gate's only place", () => {
  afterAll(() => setGate(null));
  beforeEach(() => setGate(null));

  const interruptedAfterCrash = async (id: string, marker: string) => {
    await send(id, `Please: ${marker}`, { wait_for_response: false });
    await until(async () => (cases.get(marker)?.calls ?? 0) > 0);
    await runInDurableObject(objectOf(id), (_instance, state) => state.abort("killed")).catch(() => undefined);
    await tool("interrupt_instance", { instance_id: id });
  };

  it.each<[string, Case["fault"], ((id: string, marker: string) => Promise<unknown>) | null]>([
    ["completed", () => ({ blocks: [{ type: "text", text: "Done." }] }), null],
    ["failed for good", broken(401, "authentication_error"), null],
    ["was refused", () => ({ ...partly, stopReason: "refusal" }), null],
    ["did not fit, and had nothing to summarize", broken(413, "request_too_large"), null],
    ["was interrupted after its object had died in a call", () => ({ delayMs: 3_600_000 }), interruptedAfterCrash],
  ])("is free again when a turn %s", async (_how, fault, run) => {
    await setGate(1);
    const [marker] = newCase(0, fault, 1);
    const id = await spawn({ name: marker });
    await (run ?? ((it: string) => sendAndSettle(it, `Please: ${marker}`)))(id, marker);
    const other = await spawn();
    const sent = await send(other, "Is there a place?", { timeout_seconds: 2 });
    expect(sent).toMatchObject({ success: true, status: "completed" });
  });

  it("is free again when no summary could be had", async () => {
    const [marker] = newCase(0, broken(413, "request_too_large"), 1);
    const id = await spawn({ name: marker, model: "claude-opus-4-8" });
    await sendAndSettle(id, "Long before.");
    await setGate(1);
    summarizes = false;
    try {
      expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    } finally {
      summarizes = true;
    }
    const sent = await send(await spawn(), "Is there a place?", { timeout_seconds: 2 });
    expect(sent).toMatchObject({ success: true, status: "completed" });
  });
});

describe("an answer that the API would not take back", () => {
  beforeAll(() => setGate(null));

  it.each<[string, Script]>([
    ["no content at all", { blocks: [], autoThinking: false }],
    ["nothing but thinking", { blocks: [{ type: "thinking", thinking: "Hm." }] }],
    ["empty text", { blocks: [{ type: "text", text: "" }] }],
    ["blank text", { blocks: [{ type: "text", text: "\n\n" }] }],
  ])("does no harm to the conversation: %s", async (_name, given) => {
    const [marker] = newCase(0, () => given, 1);
    const id = await spawn({ name: marker });
    expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    cases.delete(marker);
    const plain = await sendAndSettle(id, `Go on, without ${id}.`);
    expect(plain.error?.message).toBeUndefined();
    expect(plain).toMatchObject({ state: "completed" });
  });

  it("does no harm in the middle of a turn: blank text before a tool call", async () => {
    const call = { type: "tool_use", name: "lookup", input: { value: "x" } } as const;
    const [marker] = newCase(1, () => ({ blocks: [{ type: "text", text: "\n\n" }, call] }), 1);
    const id = await spawn({ name: marker });
    const view = await sendAndSettle(id, `Please: ${marker}`);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed" });
  });
});

describe("all conversations of this file", () => {
  it("were never refused by the API for what they are", () => {
    const own = model.simulator.journal.filter((entry) => entry.status === 400);
    expect(own.length).toBe(ordered400);
    expect(model.simulator.journal.length).toBeGreaterThan(300);
  });
});
