/**
 * The fault matrix: everything that can go wrong with a model call, in the first, a middle and the last call of a turn,
 * with what becomes of the message. Nobody waits in real time: the clock is moved on, and the alarm is run.
 */
import { runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MAX_TRIES } from "../../../src/anthropic/failure.ts";
import type { MessageView } from "../../../src/contracts/instance.ts";
import { MAX_RESUMES } from "../../../src/instance/turn/model-answers.ts";
import { ranTools } from "../../entry/tools.ts";
import { output, spawn, status } from "../../support/door.ts";
import {
  broken,
  type Case,
  cases,
  installFaults,
  lastCallAbout,
  newCase,
  POSITIONS,
  partly,
  paused,
  refused,
  sendAndSettle,
  setLimiter,
  toolCall,
} from "../../support/faults.ts";
import { installModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";

installModel();

installFaults();

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
  beforeEach(() => setLimiter(null));
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
