import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { orchestratorOf } from "../../../src/contracts/stubs.ts";
import {
  BACKOFF,
  DEFAULT_EVENTS,
  MAX_FAILURES,
  MAX_WEBHOOKS,
  wants,
} from "../../../src/orchestrator/delivery/webhooks.ts";
import { retryDelay } from "../../../src/platform/delivery.ts";
import { addressProblem } from "../../../src/remote-mcp/public-address.ts";
import { request, send, spawn, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";

interface Delivery {
  id: string;
  headers: Record<string, string>;
  body: string;
  type: string;
  data: { tenant: string; seq: number; instance_id: string | null; details: Record<string, unknown> };
}

/** The receivers of the tests, by the path of their url: what came in, and how the next ones are answered. */
const received = new Map<string, Delivery[]>();
const answers = new Map<string, (() => Response | Promise<Response>)[]>();
const RECEIVER = "https://receiver.madrox.dev";

beforeAll(() => {
  installModel();
  // The model's server stands in the place of the network already.
  const inner = vi.mocked(globalThis.fetch).getMockImplementation() ?? globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    if (url.origin !== RECEIVER) return inner(input, init);
    const call = new Request(input as Request, init as RequestInit);
    const body = await call.text();
    const headers = Object.fromEntries(call.headers);
    const { type, data } = JSON.parse(body) as Delivery;
    received.set(url.pathname, [
      ...(received.get(url.pathname) ?? []),
      { id: headers["webhook-id"] ?? "", headers, body, type, data },
    ]);
    return answers.get(url.pathname)?.shift()?.() ?? new Response(null, { status: 204 });
  });
});

afterEach(async () => {
  for (const { webhook_id } of await list()) await request(`/webhooks/${webhook_id}`, { method: "DELETE" });
  received.clear();
  answers.clear();
});

interface Registered {
  webhook_id: string;
  url: string;
  events: string[];
  state: string;
  secret?: string;
  failures: number;
  delivered: number;
  last_status: string | null;
  next_try_at: string | null;
}

async function post(body: Record<string, unknown>): Promise<Response> {
  return request("/webhooks", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function register(path: string, fields: Record<string, unknown> = {}): Promise<Registered> {
  const response = await post({ url: RECEIVER + path, ...fields });
  expect(response.status).toBe(201);
  return (await response.json()) as Registered;
}

async function list(): Promise<Registered[]> {
  return ((await (await request("/webhooks")).json()) as { webhooks: Registered[] }).webhooks;
}

const at = (path: string) => received.get(path) ?? [];
const one = async (id: string) => (await (await request(`/webhooks/${id}`)).json()) as Registered;

/** The receiver's next answer comes only once the returned function was called. */
function holdUp(path: string): () => void {
  let held = true;
  const answer = async () => {
    while (held) await new Promise((done) => setTimeout(done, 10));
    return new Response(null, { status: 204 });
  };
  answers.set(path, [answer]);
  return () => {
    held = false;
  };
}

/** The time of the next try has come. */
async function due(id: string): Promise<void> {
  const stub = env.ORCHESTRATOR.getByName("default");
  await runInDurableObject(stub, async (_instance, state) => {
    state.storage.sql.exec("UPDATE webhook SET due_at = 1 WHERE webhook_id = ? AND due_at IS NOT NULL", id);
    await state.storage.setAlarm(Date.now() + 60_000);
  });
  await runDurableObjectAlarm(stub);
}

describe("the delivery of webhooks", () => {
  test("tells of the end of a message, signed, with ids and without content", async () => {
    scriptModel(() => ({ blocks: [{ type: "text", text: "the answer's marker" }] }));
    const { secret, ...webhook } = await register("/ends");
    const id = await spawn();
    const sent = await send(id, "the question's marker");
    const [delivery] = await until(async () => at("/ends").length > 0 && at("/ends"));
    expect(delivery?.type).toBe("message.completed");
    expect(delivery?.data).toMatchObject({
      tenant: "default",
      instance_id: id,
      details: { message_id: sent.message_id },
    });
    expect(delivery?.id).toBe(`${webhook.webhook_id}_${delivery?.data.seq}`);
    expect(delivery?.body).not.toContain("marker");
    expect(() => new Webhook(secret ?? "").verify(delivery?.body ?? "", delivery?.headers ?? {})).not.toThrow();
    expect(() => new Webhook(secret ?? "").verify(`${delivery?.body} `, delivery?.headers ?? {})).toThrow();
  });

  test("keeps the order of the log, and sends each event once while all goes well", async () => {
    const { webhook_id } = await register("/order", { events: ["message.*"] });
    const id = await spawn();
    for (const message of ["one", "two", "three"]) await send(id, message);
    await until(async () => at("/order").filter(({ type }) => type === "message.completed").length === 3);
    const seqs = at("/order").map(({ data }) => data.seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(at("/order").map(({ type }) => type)).not.toContain("audit.called");
    await until(async () => (await one(webhook_id)).delivered === seqs.length);
  });

  test("tells of what happens from its registration on", async () => {
    const early = await spawn();
    await tool("terminate_instance", { instance_id: early });
    await register("/later", { events: ["instance.terminated"] });
    const late = await spawn();
    await tool("terminate_instance", { instance_id: late });
    await until(async () => at("/later").length > 0);
    expect(at("/later").map(({ data }) => data.instance_id)).toEqual([late]);
  });

  test("tries again after a failure, with the same id, and holds back what comes after", async () => {
    answers.set("/fails", [() => new Response(null, { status: 500 }), () => Promise.reject(new Error("no route"))]);
    const { webhook_id } = await register("/fails", { events: ["instance.*"] });
    const id = await spawn();
    await until(async () => (await one(webhook_id)).failures === 1);
    expect(await one(webhook_id)).toMatchObject({ last_status: "500", next_try_at: expect.any(String) });
    await tool("terminate_instance", { instance_id: id });
    expect(at("/fails")).toHaveLength(1);
    await due(webhook_id);
    await until(async () => (await one(webhook_id)).last_status === "unreachable");
    await due(webhook_id);
    await until(async () => at("/fails").length >= 4);
    const [first, second, third, fourth] = at("/fails");
    expect([second?.id, third?.id]).toEqual([first?.id, first?.id]);
    expect(fourth?.type).not.toBe(first?.type);
    expect((await one(webhook_id)).failures).toBe(0);
  });

  test("sends again, with the same id, what was under way when the object died", async () => {
    const release = holdUp("/dies");
    const { webhook_id } = await register("/dies", { events: ["instance.spawned"] });
    await spawn();
    await until(async () => at("/dies").length === 1);
    // Its memory is gone: nobody holds the webhook any more, and its row is as it was when the call went out.
    await runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_instance, state) => state.abort("died")).catch(
      () => undefined,
    );
    await due(webhook_id);
    await until(async () => at("/dies").length === 2);
    expect(at("/dies")[1]?.id).toBe(at("/dies")[0]?.id);
    release();
  });

  test("follows no redirection", async () => {
    answers.set("/moved", [() => new Response(null, { status: 307, headers: { location: `${RECEIVER}/inside` } })]);
    const { webhook_id } = await register("/moved", { events: ["instance.spawned"] });
    await spawn();
    await until(async () => (await one(webhook_id)).last_status === "307");
    expect(at("/inside")).toEqual([]);
  });

  test.each([
    ["is gone", [410], 1],
    ["failed too often", new Array<number>(MAX_FAILURES).fill(503), MAX_FAILURES],
  ])("disables a receiver that %s, with an event, and the others go on", async (_what, statuses, failures) => {
    answers.set(
      "/dead",
      statuses.map((status) => () => new Response(null, { status })),
    );
    const { webhook_id } = await register("/dead", { events: ["instance.spawned"] });
    await register("/alive", { events: ["webhook.disabled"] });
    await spawn();
    for (let tries = 1; tries <= failures; tries++) {
      await until(async () => (await one(webhook_id)).failures === tries);
      if (tries < failures) await due(webhook_id);
    }
    expect(await one(webhook_id)).toMatchObject({ state: "disabled", next_try_at: null });
    const [told] = await until(async () => at("/alive").length > 0 && at("/alive"));
    expect(told?.data.details).toMatchObject({ webhook_id, failures, last_status: String(statuses[0]) });
  });

  test("holds up nobody while a receiver takes its time", async () => {
    const release = holdUp("/slow");
    await register("/slow", { events: ["instance.spawned"] });
    await register("/fast", { events: ["message.completed"] });
    const id = await spawn();
    await until(async () => at("/slow").length === 1);
    expect((await send(id, "while it hangs")).status).toBe("completed");
    await until(async () => at("/fast").length === 1);
    release();
  });
});

describe("the registration of a webhook", () => {
  test("asks for ends and questions unless told otherwise, and shows the secret once", async () => {
    const { secret, ...made } = await register("/defaults");
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(made.events).toEqual(DEFAULT_EVENTS);
    const shown = [
      await (await request("/webhooks")).text(),
      await (await request(`/webhooks/${made.webhook_id}`)).text(),
    ];
    for (const text of shown) {
      expect(text).toContain(made.webhook_id);
      expect(text).not.toContain("whsec_");
    }
  });

  test("signs with the secret that it was given", async () => {
    const secret = `whsec_${btoa("a secret of more than 24 bytes")}`;
    expect((await register("/given", { secret, events: ["instance.spawned"] })).secret).toBe(secret);
    await spawn();
    const [delivery] = await until(async () => at("/given").length > 0 && at("/given"));
    expect(() => new Webhook(secret).verify(delivery?.body ?? "", delivery?.headers ?? {})).not.toThrow();
  });

  test.each<[what: string, body: Record<string, unknown>]>([
    ["no url", {}],
    ["a private url", { url: "https://10.0.0.1/" }],
    ["plain http", { url: "http://receiver.madrox.dev/" }],
    ["no events", { url: RECEIVER, events: [] }],
    ["a wrong filter", { url: RECEIVER, events: ["message"] }],
    ["a short secret", { url: RECEIVER, secret: "whsec_c2hvcnQ=" }],
    ["a secret of another form", { url: RECEIVER, secret: "x".repeat(40) }],
    ["an unknown field", { url: RECEIVER, method: "GET" }],
  ])("refuses %s", async (_what, body) => {
    const response = await post(body);
    expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([400, "invalid_input"]);
  });

  test("has an end", async () => {
    const stub = orchestratorOf(env, "many-hooks");
    const add = () => stub.addWebhook({ url: RECEIVER, events: ["*"], secret: null });
    for (let i = 0; i < MAX_WEBHOOKS; i++) expect((await add()).ok).toBe(true);
    expect(await add()).toMatchObject({ ok: false, error: { code: "limit_reached" } });
  });

  test("can be taken back, once", async () => {
    const { webhook_id } = await register("/back", { events: ["instance.spawned"] });
    expect((await request(`/webhooks/${webhook_id}`, { method: "DELETE" })).status).toBe(200);
    expect((await request(`/webhooks/${webhook_id}`, { method: "DELETE" })).status).toBe(404);
    expect((await request(`/webhooks/${webhook_id}`)).status).toBe(404);
  });
});

test.each<[filter: string, kind: string, through: boolean]>([
  ["message.completed", "message.completed", true],
  ["message.completed", "message.failed", false],
  ["message.*", "message.failed", true],
  ["message.*", "messages.failed", false],
  ["*", "audit.called", true],
])("the filter %s and an event %s: %s", (filter, kind, through) => {
  expect(wants([filter], kind)).toBe(through);
});

test("waits longer with each failure, for 20 hours in all", () => {
  const waits = Array.from({ length: MAX_FAILURES - 1 }, (_none, i) => retryDelay(i + 1, BACKOFF));
  expect(waits.slice(0, 3)).toEqual([5_000, 20_000, 80_000]);
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(Math.round(waits.reduce((sum, wait) => sum + wait, 0) / 3_600_000)).toBe(20);
});

test.each<[url: string, allowed: boolean]>([
  ["https://hooks.slack.com/services/T0/B0/x", true],
  ["https://8.8.8.8/hook", true],
  ["https://[2606:4700::1111]/", true],
  ["http://hooks.slack.com/", false],
  ["ftp://hooks.slack.com/", false],
  ["https://user:pass@hooks.slack.com/", false],
  ["https://localhost/", false],
  ["https://LOCALHOST./", false],
  ["https://metadata.google.internal/", false],
  ["https://intranet/", false],
  ["https://127.0.0.1/", false],
  ["https://2130706433/", false],
  ["https://0x7f.1/", false],
  ["https://0/", false],
  ["https://10.1.2.3/", false],
  ["https://100.64.0.1/", false],
  ["https://169.254.169.254/latest/meta-data", false],
  ["https://172.31.255.255/", false],
  ["https://172.32.0.1/", true],
  ["https://192.168.0.1/", false],
  ["https://224.0.0.1/", false],
  ["https://255.255.255.255/", false],
  ["https://[::1]/", false],
  ["https://[::]/", false],
  ["https://[::ffff:10.0.0.1]/", false],
  ["https://[fe80::1]/", false],
  ["https://[fd00::1]/", false],
  ["https://[64:ff9b::a00:1]/", false],
  ["https://[2002:a00:1::]/", false],
  ["not a url", false],
])("an address that may be called: %s %s", (url, allowed) => {
  expect(addressProblem(url, false) === null).toBe(allowed);
});
