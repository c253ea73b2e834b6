/**
 * The typed client in a Worker: against this server, and against one that fails in each documented way.
 */
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Madrox, MadroxError, type MadroxEvent, type MadroxOptions } from "../../src/client/index.ts";
import { SERVER_ERRORS } from "../../src/client/tools.ts";
import { ERROR_STATUS } from "../../src/platform/errors.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import { ORIGIN, request, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

const worker = (url: string, init: RequestInit) => exports.default.fetch(new Request(url, init));

const connect = (options: MadroxOptions = {}) => new Madrox({ url: ORIGIN, fetch: worker, ...options });

/** Scripts the model to answer each message with what stands after "say ". */
const obey = () =>
  scriptModel(({ lastUserText }) => ({ blocks: [{ type: "text", text: lastUserText.replace(/^.*say /s, "") }] }));

/** A gate that a script waits at. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

interface Seen {
  path: string;
  headers: Headers;
  body: Record<string, unknown> | null;
}

/** A server that gives these answers in turn, then those of the real one. An `Error` stands for a connection that fails. */
function failing(...answers: (() => Response | Error)[]) {
  const seen: Seen[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    seen.push({
      path: new URL(url).pathname,
      headers: new Headers(init.headers),
      body: typeof init.body === "string" ? JSON.parse(init.body) : null,
    });
    const next = answers.shift()?.();
    if (next instanceof Error) throw next;
    return next ?? worker(url, init);
  };
  return { fetch, seen };
}

const failure = (error: string, status: number, more: Record<string, unknown> = {}, headers = {}) =>
  Response.json({ success: false, error, message: "No.", ...more }, { status, headers });

/** What a promise is rejected with. */
async function rejected(promise: Promise<unknown>): Promise<MadroxError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof MadroxError) return error;
  throw new Error(`It was not rejected with a MadroxError, but: ${String(error)}`);
}

const ended = ({ data }: MadroxEvent, messageId: string) =>
  data.kind === "message.completed" && data.message_id === messageId;

/** All events up to the end of a message. */
async function followTo(madrox: Madrox, instanceId: string, messageId: string): Promise<MadroxEvent[]> {
  const events: MadroxEvent[] = [];
  for await (const event of madrox.stream(instanceId)) {
    events.push(event);
    if (ended(event, messageId)) break;
  }
  return events;
}

describe("the client's tools", () => {
  it("have a method for every tool of the catalogue", () => {
    const madrox = connect() as unknown as Record<string, unknown>;
    for (const { name } of CATALOGUE) {
      const method =
        name === "spawn_claude"
          ? "spawnInstance"
          : name.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase());
      expect(madrox[method], `${method}: run npm run client:types`).toBeTypeOf("function");
    }
    expect(SERVER_ERRORS).toEqual(ERROR_STATUS);
  });

  it("spawn, send, read and end", async () => {
    obey();
    const madrox = connect();
    const { instance_id, model: used } = await madrox.spawnInstance({ name: "Ada", role: "architect" });
    expect(used).toContain("claude");
    const sent = await madrox.sendToInstance({ instance_id, message: "say hello" });
    expect(sent.response?.response).toBe("hello");
    await madrox.sendToInstance({ instance_id, message: "say bye" });
    const rows = [];
    for await (const row of madrox.output(instance_id)) rows.push(row);
    expect(rows.map(({ type }) => type)).toEqual(["user", "response", "user", "response"]);
    const ids = [];
    for await (const record of madrox.instances({ role: "architect" })) ids.push(record.instance_id);
    expect(ids).toContain(instance_id);
    await madrox.terminateInstance({ instance_id });
    expect((await madrox.getInstanceStatus({ instance_id })).status.state).toBe("terminated");
    expect(await madrox.health()).toMatchObject({ success: true, status: "healthy" });
  });

  it("bring a workspace as a zip archive", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.writeInstanceFile({ instance_id, path: "a/b.txt", content: "text" });
    const zip = new Uint8Array(await (await madrox.workspaceZip(instance_id)).arrayBuffer());
    expect(new TextDecoder().decode(zip.slice(0, 2))).toBe("PK");
  });

  it("send the access key with everything", async () => {
    const { fetch, seen } = failing();
    const madrox = connect({ fetch, accessKey: "key-of-ada" });
    const { instance_id } = await madrox.spawnInstance({ name: "Ada", initial_prompt: "Hello" });
    await madrox.health();
    const { value } = await madrox.stream(instance_id).next();
    expect(value?.event).toBe("status");
    expect(seen.map(({ path }) => path)).toEqual(["/tools/execute", "/health", `/instances/${instance_id}/events`]);
    expect(seen.map(({ headers }) => headers.get("authorization"))).toEqual(seen.map(() => "Bearer key-of-ada"));
  });
});

describe("waiting", () => {
  it("asks until there is an answer, with one message", async () => {
    const { open, opened } = gate();
    scriptModel(async () => {
      await opened;
      return { blocks: [{ type: "text", text: "late" }] };
    });
    let calls = 0;
    const madrox = connect({
      // A server that waits not at all, so that the first calls come back without the answer.
      fetch: (url, init) => {
        const body = JSON.parse(String(init.body));
        if (body.tool !== "send_to_instance") return worker(url, init);
        calls += 1;
        if (calls === 3) open();
        if (calls < 3) body.arguments.timeout_seconds = 0;
        return worker(url, { ...init, body: JSON.stringify(body) });
      },
    });
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const answer = await madrox.ask(instance_id, "A question that takes its time");
    expect(answer.response).toBe("late");
    expect(calls).toBe(3);
    expect(model.callsAbout("A question that takes its time")).toHaveLength(1);
  });

  it("waits for several, and gives up when told", async () => {
    const { open, opened } = gate();
    scriptModel(async ({ lastUserText }) => {
      if (lastUserText.includes("slow")) await opened;
      return undefined;
    });
    const madrox = connect();
    const team = await Promise.all(["Ada", "Bob"].map((name) => madrox.spawnInstance({ name })));
    const sent = await Promise.all(
      team.map(({ instance_id }, i) =>
        madrox.sendToInstance({ instance_id, message: i === 0 ? "quick" : "slow", wait_for_response: false }),
      ),
    );
    const ids = sent.map(({ message_id }) => message_id);
    expect((await madrox.waitUntilDone(ids, { until: "any" })).done).toMatchObject([{ id: ids[0] }]);
    expect((await madrox.waitUntilDone(ids, { timeoutSeconds: 0 })).pending).toMatchObject([{ id: ids[1] }]);
    open();
    const all = await madrox.waitUntilDone(ids);
    expect(all).toMatchObject({ done: [{ status: "completed" }, { status: "completed" }], pending: [] });
  });

  it("does not wait for what can't go on by itself", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada", max_cost: 0.000_001 });
    const error = await rejected(madrox.ask(instance_id, "Hello"));
    expect(error).toMatchObject({ code: "budget_exceeded", status: 402, answer: { status: "paused" } });
    const { pending } = await madrox.waitUntilDone([String(error.answer.message_id)]);
    expect(pending).toMatchObject([{ status: "paused" }]);
  });

  it("ends with its signal", async () => {
    scriptModel(() => new Promise(() => undefined));
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const end = new AbortController();
    const waiting = madrox.ask(instance_id, "Hello", { signal: end.signal });
    await until(async () => (await madrox.getInstanceStatus({ instance_id })).status.state === "busy");
    end.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await madrox.terminateInstance({ instance_id, force: true });
  });
});

describe("a server that fails", () => {
  /** What passes by itself. */
  const PASSING: readonly (readonly [name: string, answer: () => Response | Error])[] = [
    ["a connection that breaks", () => new TypeError("fetch failed")],
    ["an answer that breaks off", () => new Response(cutAfter(9, Response.json({ success: true, message: "No." })))],
    ["a proxy's page", () => new Response("<html>Bad gateway</html>", { status: 502 })],
    ["a mistake of its own", () => failure("internal", 500)],
    ["a limit that passes, by its header", () => failure("limit_reached", 429, {}, { "retry-after": "0" })],
    [
      "a limit that passes, by the time in its header",
      () => failure("limit_reached", 429, {}, { "retry-after": new Date(0).toUTCString() }),
    ],
    [
      "a limit that passes, by its details",
      () => failure("limit_reached", 429, { details: { retry_after_seconds: 0 } }),
    ],
    [
      "a proxy's page that says when to come again",
      () => new Response("<html>Too many</html>", { status: 429, headers: { "retry-after": "0" } }),
    ],
  ];

  it.each(PASSING)("is followed again after %s, and each event comes once", async (_name, answer) => {
    const { instance_id } = await connect().spawnInstance({ name: "Ada" });
    const { message_id } = await connect().sendToInstance({ instance_id, message: "Hello" });
    const whole = await followTo(connect(), instance_id, message_id);
    const { fetch, seen } = failing(answer, answer);
    expect(await followTo(connect({ fetch }), instance_id, message_id)).toEqual(whole);
    expect(seen.length).toBeGreaterThan(2);
  });

  it.each(PASSING)("is asked again after %s, with the same key", async (_name, answer) => {
    const { fetch, seen } = failing(answer, answer);
    const { instance_id } = await connect({ fetch }).spawnInstance({ name: "Ada" });
    expect(instance_id).toMatch(/^inst_/);
    expect(seen).toHaveLength(3);
    const keys = seen.map(({ body }) => (body?.arguments as Record<string, unknown> | undefined)?.idempotency_key);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toBeTypeOf("string");
  });

  it("has spawned once when its answer was lost on the way", async () => {
    const { fetch, seen } = failing();
    let lost = 0;
    const madrox = connect({
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        if (lost++ > 0) return response;
        await response.body?.cancel();
        throw new TypeError("socket hang up");
      },
    });
    const name = `Only ${crypto.randomUUID()}`;
    const { instance_id } = await madrox.spawnInstance({ name });
    expect(seen).toHaveLength(2);
    const named = [];
    for await (const record of madrox.instances()) if (record.name === name) named.push(record.instance_id);
    expect(named).toEqual([instance_id]);
  });

  const codes = Object.entries(ERROR_STATUS).filter(([code]) => code !== "internal");
  it.each(codes)("is asked once when it says %s (%i)", async (code, status) => {
    const { fetch, seen } = failing(() => failure(code, status, { details: { field: "name" } }));
    const error = await rejected(connect({ fetch }).spawnInstance({ name: "Ada" }));
    expect(error).toMatchObject({ code, status, message: "No.", details: { field: "name" } });
    expect(seen).toHaveLength(1);
  });

  it("is given up after the retries", async () => {
    const refuse = () => new TypeError("connection refused");
    const { fetch, seen } = failing(refuse, refuse, refuse);
    const error = await rejected(connect({ fetch, retries: 1 }).health());
    expect(error).toMatchObject({ code: "network_error", status: 0 });
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(seen).toHaveLength(2);
  });

  it("is not waited for longer than a minute at its word", async () => {
    const { fetch, seen } = failing(() => failure("limit_reached", 429, {}, { "retry-after": "3600" }));
    expect(await rejected(connect({ fetch }).health())).toMatchObject({ code: "limit_reached" });
    expect(seen).toHaveLength(1);
  });

  it("is no Madrox when it answers with something else", async () => {
    const page = () => new Response("<html>Welcome</html>", { headers: { "content-type": "text/html" } });
    const { fetch, seen } = failing(page, page, page);
    const madrox = connect({ fetch });
    const calls = [madrox.spawnInstance({ name: "Ada" }), madrox.health(), madrox.events().next()];
    for (const call of calls) expect(await rejected(call)).toMatchObject({ code: "bad_answer", status: 200 });
    expect(seen).toHaveLength(3);
  });

  it("says of a message that failed what it was, and does not send it again", async () => {
    const { fetch, seen } = failing(() =>
      failure("upstream_error", 502, { message_id: "msg_1", status: "failed", details: { status: 529 } }),
    );
    expect(await rejected(connect({ fetch }).ask("inst_1", "Hello"))).toMatchObject({
      code: "upstream_error",
      status: 502,
      answer: { message_id: "msg_1", status: "failed" },
    });
    expect(seen).toHaveLength(1);
  });

  describe("is left alone once its caller gives up", () => {
    const never = (_url: string, init: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    const silent = async () => new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } });
    const full = async () => failure("limit_reached", 429, {}, { "retry-after": "50" });
    it.each([
      ["before the call", never, true, (madrox: Madrox, signal: AbortSignal) => madrox.health({ signal })],
      ["during a call", never, false, (madrox: Madrox, signal: AbortSignal) => madrox.health({ signal })],
      [
        "in the pause before the next try",
        full,
        false,
        (madrox: Madrox, signal: AbortSignal) => madrox.health({ signal }),
      ],
      [
        "while it waits",
        never,
        false,
        (madrox: Madrox, signal: AbortSignal) => madrox.waitUntilDone(["msg_1"], { signal }),
      ],
      ["during a stream", silent, false, (madrox: Madrox, signal: AbortSignal) => madrox.events({ signal }).next()],
      [
        "in the pause before a stream goes on",
        full,
        false,
        (madrox: Madrox, signal: AbortSignal) => madrox.events({ signal }).next(),
      ],
    ])("%s", async (_name, server, already, call) => {
      let asked = 0;
      const end = new AbortController();
      const why = new Error("enough");
      const fetch = async (url: string, init: RequestInit) => {
        asked += 1;
        // Once the answer is in, and the client has begun to wait.
        setTimeout(() => end.abort(why));
        if (init.signal?.aborted) throw init.signal.reason;
        return server(url, init);
      };
      if (already) end.abort(why);
      await expect(call(connect({ fetch }), end.signal)).rejects.toBe(why);
      expect(asked).toBeLessThanOrEqual(1);
    });
  });

  it("is held to the time of one try", async () => {
    const madrox = connect({
      retries: 0,
      timeoutMs: 1,
      fetch: (_url, init) =>
        new Promise((_resolve, reject) => {
          init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        }),
    });
    expect(await rejected(madrox.health())).toMatchObject({ code: "network_error" });
  });
});

describe("the stream", () => {
  it("brings what an instance says as it happens", async () => {
    obey();
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "say hello there" });
    const events = await followTo(madrox, instance_id, message_id);
    const text = events.filter(({ event }) => event === "text").map(({ data }) => data.text);
    expect(text.join("")).toBe("hello there");
    expect(events.map(({ event }) => event)).toContain("output");
  });

  it("brings each event once over connections that break anywhere", async () => {
    obey();
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.sendToInstance({ instance_id, message: "say one" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "say two, and ünïcödé" });
    const whole = await followTo(madrox, instance_id, message_id);

    for (const bytes of [150, 333, 700]) {
      const after: (string | null)[] = [];
      const broken = connect({
        fetch: async (url, init) => {
          after.push(new Headers(init.headers).get("last-event-id"));
          const response = await worker(url, init);
          return new Response(cutAfter(bytes + after.length * 40, response), response);
        },
      });
      expect(await followTo(broken, instance_id, message_id)).toEqual(whole);
      expect(after.length).toBeGreaterThan(2);
      expect(after[0]).toBeNull();
      expect(after.at(-1)).not.toBeNull();
    }
  });

  it("goes on after an event that is known", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    const { message_id } = await madrox.sendToInstance({ instance_id, message: "Hello" });
    const whole = await followTo(madrox, instance_id, message_id);
    const second = whole[1];
    const { value } = await madrox.stream(instance_id, { after: whole[0]?.id ?? "" }).next();
    expect(value).toEqual(second);
  });

  it("ends with its instance", async () => {
    const madrox = connect();
    const { instance_id } = await madrox.spawnInstance({ name: "Ada" });
    await madrox.sendToInstance({ instance_id, message: "Hello" });
    await madrox.terminateInstance({ instance_id });
    const kinds = [];
    for await (const { data } of madrox.stream(instance_id)) kinds.push(data.kind);
    expect(kinds).toContain("message.completed");
    expect(kinds.at(-1)).toBe("instance.stopped");
  });

  it("says what the server refuses, and gives up on one that is gone", async () => {
    const gone = await request("/instances/inst_none/events");
    expect(gone.status).toBe(400);
    expect(await rejected(connect().stream("inst_none").next())).toMatchObject({ code: "invalid_input", status: 400 });
    const dead = connect({ retries: 1, fetch: () => Promise.reject(new TypeError("connection refused")) });
    expect(await rejected(dead.events().next())).toMatchObject({ code: "network_error" });
  });

  it("follows the event log of all", async () => {
    const madrox = connect();
    const { instance_id: instanceId } = await madrox.spawnInstance({ name: "Ada" });
    const { value } = await madrox.events({ instanceId }).next();
    expect(value).toMatchObject({ event: "instance.spawned", data: { instance_id: instanceId } });
  });
});

/** The beginning of a response's body; then its connection breaks. */
function cutAfter(bytes: number, { body }: Response): ReadableStream<Uint8Array> {
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  let left = bytes;
  return new ReadableStream({
    async pull(controller) {
      if (left === 0) {
        await reader.cancel();
        controller.error(new TypeError("connection reset"));
        return;
      }
      const { done, value } = await reader.read();
      if (done) {
        controller.close();
        return;
      }
      const part = value.slice(0, left);
      left -= part.length;
      controller.enqueue(part);
    },
    cancel: () => reader.cancel(),
  });
}
