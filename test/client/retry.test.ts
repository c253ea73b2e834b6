/**
 * The client and a server that fails: what is asked again, and what is not.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Madrox } from "../../src/client/index.ts";
import { ERROR_STATUS } from "../../src/platform/errors.ts";
import { connect, cutAfter, failing, failure, followTo, rejected } from "../support/client.ts";
import { installModel, scriptModel } from "../support/model.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("a server that fails the client", () => {
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
