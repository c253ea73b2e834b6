/**
 * Waiting from outside: bounded, repeatable, by any number of callers, and consuming nothing.
 */

import { env, exports } from "cloudflare:workers";
import { Client, type Transport as ClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { InstanceApi, MessageView } from "../../../src/contracts/instance.ts";
import { LOCAL } from "../../../src/contracts/principal.ts";
import { contextOf } from "../../../src/http/context.ts";
import { ok } from "../../../src/platform/errors.ts";
import { messageIdOf, newInstanceId } from "../../../src/platform/ids.ts";
import { dispatch } from "../../../src/tools/runtime/dispatch.ts";
import { isEnough, MAX_WAIT_SECONDS, type Waited } from "../../../src/tools/runtime/waiting.ts";
import { type Json, ORIGIN, send, spawn } from "../../support/door.ts";
import { installModel, type Script, type ScriptCall, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";
import { post, wait } from "../../support/waits.ts";

installModel();

/** A turn of 6 s that no load can stretch into a stalled model: a tool takes them. */
const STORY: Script = { blocks: [{ type: "tool_use", name: "slow", input: { value: "6000" } }] };

const LONG_STORY = "Tell the whole story.";

/** What every test's model does unless the test says otherwise: the long wait goes on beside all of them. */
const script = (next: (call: ScriptCall) => Script | undefined) =>
  scriptModel((call) => {
    if (call.lastUserText !== LONG_STORY) return next(call);
    return call.toolResults.length === 0 ? STORY : saying("The end.");
  });

const plain = () => script(() => undefined);

beforeEach(plain);

afterEach(plain);

describe("whether enough is done", () => {
  const states = (pattern: string): Waited[] =>
    [...pattern].map((done, i) => ({ id: `${i}`, kind: "message", done: done === "x", status: "", doing: "" }));
  it.each<[string, "all" | "any" | number, boolean]>([
    ["xx", "all", true],
    ["x-", "all", false],
    ["--", "any", false],
    ["-x", "any", true],
    ["x--", 2, false],
    ["x-x", 2, true],
    ["xxx", 2, true],
    // A number beyond what there is can't be reached, and is refused before anyone waits.
    ["xx", 3, true],
  ])("%s for %s is %s", (pattern, howMany, enough) => {
    expect(isEnough(states(pattern), howMany)).toBe(enough);
  });
});

describe("the time that a call waits", () => {
  const limited = (id: string): MessageView => ({
    message_id: messageIdOf(id, 1),
    created_at: new Date().toISOString(),
    state: "waiting",
    waiting_for: { reason: "rate_limited", until: null },
  });

  /** An instance whose turn never ends: to wait for it takes no time but on the clock. */
  const endlessly = (view: MessageView, onAsked: (waitMs: number) => void) =>
    ({
      send: async () => ok(view),
      message: async (_n: number, waitMs: number) => {
        onAsked(waitMs);
        vi.setSystemTime(Date.now() + waitMs);
        return ok(view);
      },
    }) as unknown as InstanceApi;

  it("is over when its caller has gone", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const began = Date.now();
    const id = newInstanceId();
    const gone = new AbortController();
    const context = {
      ...contextOf(env, [], { principal: LOCAL, signal: gone.signal }),
      instance: () => endlessly(limited(id), () => Date.now() - began >= 10_000 && gone.abort()),
    };
    await dispatch(context, "send_to_instance", { instance_id: id, message: "Go on.", timeout_seconds: 50 });
    expect(Date.now() - began).toBe(15_000);
  });

  it.each<[string, Record<string, unknown>, number]>([
    ["send_to_instance", { timeout_seconds: 9999 }, 50_000],
    ["send_to_instance", { timeout_seconds: 50.5 }, 50_000],
    ["send_to_instance", { timeout_seconds: 12 }, 12_000],
    ["send_to_instance", {}, 30_000],
    ["send_to_instance", { timeout_seconds: 0 }, 0],
    ["wait", { timeout_seconds: 9999 }, 50_000],
    ["wait", { timeout_seconds: 7.5 }, 7_500],
    ["wait", {}, 30_000],
    ["wait", { timeout_seconds: 0 }, 0],
  ])("%s with %j lasts at most %i ms, and tells how it stands every 5 s", async (name, input, lasts) => {
    expect(MAX_WAIT_SECONDS).toBe(50);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const began = Date.now();
    const id = newInstanceId();
    const view = limited(id);
    const asked: number[] = [];
    const instance = endlessly(view, (waitMs) => void asked.push(waitMs));
    const told: { at: number; text: string }[] = [];
    const context = {
      ...contextOf(env, [], { principal: LOCAL, signal: new AbortController().signal }),
      instance: () => instance,
      progress: (text: string) => void told.push({ at: Date.now() - began, text }),
    };
    const what = name === "wait" ? { ids: [view.message_id] } : { instance_id: id, message: "Go on." };
    const answer = await dispatch(context, name, { ...what, ...input });
    expect(Date.now() - began).toBe(lasts);
    expect(Math.max(...asked)).toBeLessThanOrEqual(5_000);
    expect(told.map(({ at }) => at)).toEqual(
      Array.from({ length: Math.ceil(lasts / 5_000) }, (_, i) => Math.min(lasts, (i + 1) * 5_000)),
    );
    for (const { text } of told) expect(text).toContain("rate_limited");
    expect(answer).toMatchObject(
      name === "wait"
        ? { success: true, done: [], pending: [{ status: "working", waiting_for: view.waiting_for }] }
        : { success: true, status: "working", message_id: view.message_id, waiting_for: view.waiting_for },
    );
  });
});

/** A call over MCP that waits 6 s, begun before the tests that follow and looked at after them: they need not wait for each other.
 * What moves the clock stands above: this call would see it. */
let story: Promise<{
  told: { at: number; message: string; progress: number }[];
  began: number;
  ended: number;
  answer: Json;
}>;

async function beginStory(): Promise<void> {
  plain();
  const [one, two] = await Promise.all([spawn(), spawn()]);
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const transport = new StreamableHTTPClientTransport(new URL("/mcp", ORIGIN), {
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers);
      headers.set("host", new URL(url).host);
      return exports.default.fetch(new Request(url, { ...init, headers }));
    },
  });
  await client.connect(transport as ClientTransport);
  const ids = [await post(one, LONG_STORY), await post(two, "A short one."), one];
  const began = Date.now();
  const told: { at: number; message: string; progress: number }[] = [];
  const onprogress = ({ progress, message = "" }: { progress: number; message?: string }) =>
    void told.push({ at: Date.now(), message, progress });
  story = client
    .callTool({ name: "wait", arguments: { ids, timeout_seconds: 9999 } }, { onprogress })
    .then(async (result) => {
      await client.close();
      return { told, began, ended: Date.now(), answer: result.structuredContent as Json };
    });
}

describe("a call that waits", () => {
  beforeAll(beginStory);

  it("for less than the turn takes answers in time: working, with the id by which the answer is found", async () => {
    const id = await spawn();
    script(() => ({ ...saying("Here it is, at last, after all this time."), chunkChars: 1, chunkDelayMs: 20 }));
    const elapsed = stopwatch();
    const sent = await send(id, "Take your time.", { timeout_seconds: 0.2 });
    expect(elapsed()).toBeLessThan(700);
    expect(sent).toMatchObject({ success: true, instance_id: id, status: "working" });
    expect(sent.message).toContain("wait");
    expect(sent).not.toHaveProperty("response");
    const { done, pending } = await wait([sent.message_id]);
    expect(pending).toEqual([]);
    expect(done).toMatchObject([
      { id: sent.message_id, kind: "message", status: "completed", response: { message_id: sent.message_id } },
    ]);
    expect(done[0]?.response?.response).toBe("Here it is, at last, after all this time.");
  });

  it.each([true, false])("for nothing answers at once, and the work goes on (waits: %s)", async (wait_for_response) => {
    const id = await spawn();
    script(() => ({ ...saying("Later."), chunkChars: 1, chunkDelayMs: 30 }));
    const sent = await send(id, "Go.", { wait_for_response, timeout_seconds: 0 });
    expect(sent).toMatchObject({ success: true, status: expect.stringMatching(/^(queued|working)$/) });
    expect((await wait([sent.message_id])).done).toMatchObject([{ response: { response: "Later." } }]);
  });

  it("for ever is over as soon as the message is", async () => {
    const id = await spawn();
    script(() => ({ ...saying("Soon."), chunkChars: 1, chunkDelayMs: 30 }));
    const elapsed = stopwatch();
    expect(await send(id, "Go.", { timeout_seconds: 9999 })).toMatchObject({ status: "completed" });
    expect(await wait([id], { timeout_seconds: 1e9 })).toMatchObject({ pending: [] });
    expect(elapsed()).toBeLessThan(2_000);
  });
});

describe("a long wait over MCP", () => {
  it("is told how it stands between its rounds, and ends with the answer", { timeout: 60_000 }, async () => {
    const { told, began, ended, answer } = await story;
    expect(answer).toMatchObject({ success: true, pending: [], message: "Everything is done." });
    expect(ended - began).toBeGreaterThan(5_000);
    expect(told.length).toBeGreaterThanOrEqual(1);
    expect(told.map(({ progress }) => progress)).toEqual(told.map((_, i) => i + 1));
    for (const { message } of told) expect(message).toMatch(/^1 of 3 done; msg_\w+: working$/);
  });
});
