/**
 * Access keys and who calls with them: scopes, two tenants who must not notice each other, what is counted, the Host and Origin
 * headers, and what browsers are told. The access rules of the routes are tried in test/http/routes.test.ts.
 */

import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { configOf } from "../../src/config/config.ts";
import { withoutAgentHeaders } from "../../src/http/security-headers.ts";
import { newInstanceId, questionIdOf } from "../../src/platform/ids.ts";
import { VERSION } from "../../src/platform/version.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import type { Json } from "../support/door.ts";
import { jobWith, type Keyed, keyed, newAddress, newKey } from "../support/keyed.ts";
import { modernRequest } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { login, postToken } from "../support/oauth.ts";

installModel();
beforeEach(() => scriptModel(() => undefined));

const ALICE = newKey();
const READER = newKey();
const OPERATOR = newKey();
const BOB = newKey();
const server = keyed({
  alice: [ALICE, { key: READER, scopes: ["read"] }, { key: OPERATOR, scopes: ["operate"] }],
  bob: BOB,
});

describe("scopes", () => {
  it("let tools that change nothing be read, and no other", () => {
    for (const { name, scope, annotations } of CATALOGUE) {
      expect(scope === "read", name).toBe(annotations.readOnlyHint);
    }
  });

  it("keep the limits of the whole tenant for those who may administer", async () => {
    const id = String((await server.tool(OPERATOR, "spawn_claude", { name: "Ada" })).instance_id);
    expect(await server.tool(OPERATOR, "set_limits", { instance_id: id, max_cost: 5 })).toMatchObject({
      success: true,
    });
    expect(await server.tool(OPERATOR, "set_limits", { max_cost: 5 })).toMatchObject({
      error: "forbidden",
      details: { required_scope: "admin", scopes: ["operate"] },
    });
    expect(await server.tool(ALICE, "set_limits", { max_cost: 500 })).toMatchObject({ success: true });
  });
});

describe("a task", () => {
  const rpc = async (key: string, method: string, taskId: unknown) => {
    const sent = modernRequest(method, { taskId }, { "io.modelcontextprotocol/tasks": {} });
    const response = await server.request("/mcp", { ...sent, key });
    return response.text();
  };

  it("is followed by whoever may read, cancelled by whoever may operate, and not there for another tenant", async () => {
    const id = String((await server.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    const { message_id } = await server.tool(ALICE, "send_to_instance", { instance_id: id, message: "Hello" });
    expect(await rpc(READER, "tasks/get", message_id)).toContain('"status":"completed"');
    expect(await rpc(READER, "tasks/cancel", message_id)).toContain("This needs the scope operate");
    expect(await rpc(OPERATOR, "tasks/cancel", message_id)).not.toContain('"error"');
    for (const method of ["tasks/get", "tasks/cancel"])
      expect(await rpc(BOB, method, message_id)).toContain("There is no task");
  });
});

describe("another tenant's ids", () => {
  it("are not found, whatever is done with them", async () => {
    const mine = String((await server.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    const sent = await server.tool(ALICE, "send_to_instance", { instance_id: mine, message: "a word for alice" });
    const bobs = String((await server.tool(BOB, "spawn_claude", { name: "Bob" })).instance_id);
    const job = await jobWith(server, ALICE, mine);
    await server.tool(ALICE, "wait", { ids: [job], timeout_seconds: 50 });
    const calls: [string, Record<string, unknown>][] = [
      ["spawn_claude", { name: "Eve", parent_instance_id: mine }],
      ["send_to_instance", { instance_id: mine, message: "hello" }],
      ["broadcast_to_children", { parent_id: mine, message: "hello" }],
      ["get_instance_tree", { root_id: mine }],
      ["answer_question", { question_id: questionIdOf(mine, 1), answer: "yes" }],
      ["wait", { ids: [mine] }],
      ["wait", { ids: [sent.message_id] }],
      ["get_instance_output", { instance_id: mine }],
      ["get_instance_status", { instance_id: mine }],
      ["interrupt_instance", { instance_id: mine }],
      ["terminate_instance", { instance_id: mine, force: true }],
      ["set_limits", { instance_id: mine, max_cost: 1 }],
      ["list_instance_files", { instance_id: mine }],
      ["retrieve_instance_file", { instance_id: mine, path: "a.txt" }],
      ["write_instance_file", { instance_id: mine, path: "a.txt", content: "x" }],
      ["share_file", { from_instance_id: mine, path: "a.txt", to_instance_id: mine, to_path: "b.txt" }],
      ["spawn_team", { template: "research", parent_instance_id: mine }],
      ["coordinate_instances", { coordinator_id: mine, participant_ids: [bobs], task_description: "Build." }],
      ["coordinate_instances", { coordinator_id: bobs, participant_ids: [mine], task_description: "Build." }],
      ["get_job_status", { job_id: job }],
      ["cancel_job", { job_id: job }],
      ["wait", { ids: [job] }],
    ];
    // A new tool has to be tried here too.
    expect(new Set(calls.map(([name]) => name))).toEqual(new Set(CATALOGUE.map(({ name }) => name)));
    const unknown = newInstanceId();
    for (const [name, input] of calls) {
      const answer = await server.tool(BOB, name, input);
      expect(answer, name).toMatchObject({ success: false, error: "not_found" });
      // It says the same of an id that nobody has.
      const text = JSON.stringify(input).replaceAll(mine, unknown);
      const other = await server.tool(BOB, name, JSON.parse(text) as Record<string, unknown>);
      if (text.includes(unknown)) expect(answer.message.replaceAll(mine, unknown), name).toBe(other.message);
    }
    expect(await server.tool(ALICE, "get_instance_status", { instance_id: mine })).toMatchObject({
      status: { state: "idle" },
    });
  });
});

describe("ACCESS_KEYS", () => {
  const secret = "a-key-that-nobody-should-ever-see";
  it.each([
    ["no JSON", `{"alice": "${secret}"`],
    ["a list", `["${secret}"]`],
    ["a short key", `{"alice": ["short", "${secret}"]}`],
    ["a number", `{"alice": 7, "bob": "${secret}"}`],
    ["nobody", "{}"],
    ["no key for somebody", `{"alice": [], "bob": "${secret}"}`],
    ["a tenant with a slash", `{"alice/bob": "${secret}"}`],
    ["one key for two", `{"alice": "${secret}", "bob": "${secret}"}`],
    ["an unknown scope", `{"alice": {"key": "${secret}", "scopes": ["root"]}}`],
    ["no scope", `{"alice": {"key": "${secret}", "scopes": []}}`],
    ["a key with a space", `{"alice": "${secret} and a space"}`],
  ])("with %s lets nobody in, and says why without quoting it", async (_what, text) => {
    const closed = keyed(text);
    for (const path of ["/health", "/tools"]) {
      const response = await closed.request(path, { key: secret, from: "127.0.0.1" });
      expect(response.status).toBe(503);
      const answer = await response.text();
      expect(answer).toContain("misconfigured");
      expect(answer).toContain("ACCESS_KEYS");
      expect(answer).not.toContain(secret);
    }
  });

  it("that can't be read stops nothing that is at work", () => {
    expect(configOf({ ...env, ACCESS_KEYS: "{", PUBLIC_URL: "nowhere" })).toMatchObject({ maxDepth: 5 });
  });

  it("takes a key, a list of keys and keys with scopes", async () => {
    const [one, two, three] = [newKey(), newKey(), newKey()];
    const some = keyed({ solo: one, team: [two, { key: three, scopes: ["read", "operate"] }] });
    for (const key of [one, two, three]) expect((await some.request("/instances", { key })).status).toBe(200);
    expect((await some.tool(three, "set_limits", { max_cost: 1 })).error).toBe("forbidden");
    expect((await some.tool(two, "set_limits", { max_cost: 1 })).success).toBe(true);
  });

  it("closes loopback as well", async () => {
    expect((await server.request("/tools", { from: "127.0.0.1" })).status).toBe(401);
  });

  it("not being there closes everything but this machine, and /health says only that it lives", async () => {
    const open = keyed(undefined);
    expect((await open.request("/instances", { from: "127.0.0.1" })).status).toBe(200);
    for (const path of ["/instances", "/mcp", "/metrics", "/oauth/register"]) {
      const answer = (await (await open.request(path)).json()) as Json;
      expect(answer).toMatchObject({ error: "unauthorized", message: expect.stringContaining("ACCESS_KEYS") });
    }
    expect(await (await open.request("/health")).json()).toEqual({
      success: true,
      status: "healthy",
      version: VERSION,
    });
  });
});

describe("/health", () => {
  it("says only that the server lives, and with a key how the tenant is", async () => {
    expect(await (await server.request("/health")).json()).toEqual({
      success: true,
      status: "healthy",
      version: VERSION,
    });
    expect(await (await server.request("/health", { key: READER })).json()).toMatchObject({
      success: true,
      total_instances: expect.any(Number),
      metrics: expect.any(Object),
    });
  });
});

describe("failed logins", () => {
  it("are held up after a hundred of an address, and a right key never is", async () => {
    const from = newAddress();
    const statuses: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const response = await server.request("/tools", { key: `mdx_wrong_${i}_${crypto.randomUUID()}`, from });
      statuses.push(response.status);
      if (response.status === 429) {
        expect(response.headers.get("retry-after")).toBe("60");
        expect(await response.json()).toMatchObject({ error: "limit_reached" });
      }
    }
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect(statuses.indexOf(429)).toBeGreaterThanOrEqual(100);
    expect((await server.request("/tools", { key: ALICE, from })).status).toBe(200);
    expect((await server.request("/tools", { key: newKey() })).status).toBe(401);
  });

  it("of one IPv6 network are one address's", async () => {
    const counted: string[] = [];
    const counting = keyed(
      { alice: ALICE },
      { LOGIN_RATE: { limit: async ({ key }) => ({ success: counted.push(key) > 0 }) } },
    );
    for (const from of ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "2001:db8::1", "198.51.100.7"])
      await counting.request("/tools", { key: newKey(), from });
    expect(counted).toEqual(["2001:db8:1:2", "2001:db8:1:2", "2001:db8:0:0", "198.51.100.7"]);
  });
});

/** Calls a tool so often, in one request of a client that speaks MCP 2025-03-26, the one revision with batches. */
function postBatch(at: Keyed, messages: number): Promise<Response> {
  const call = { method: "tools/call", params: { name: "get_instance_status", arguments: { limit: 1 } } };
  return at.request("/mcp", {
    method: "POST",
    key: ALICE,
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-03-26",
    },
    body: JSON.stringify(Array.from({ length: messages }, (_, id) => ({ jsonrpc: "2.0", id, ...call }))),
  });
}

describe("a key", () => {
  it("that calls too often is told to wait, under its name and not as itself", async () => {
    const counted: string[] = [];
    const limited = keyed(
      { alice: ALICE },
      { KEY_RATE: { limit: async ({ key }) => ({ success: counted.push(key) <= 2 }) } },
    );
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await limited.request("/tools", { key: ALICE })).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect(new Set(counted)).toEqual(new Set([expect.stringMatching(/^[0-9a-f]{8}$/)]));
  });

  it.each([1, 2, 100])("that calls with a batch of %i messages over MCP has called so often", async (messages) => {
    let counted = 0;
    const counting = keyed({ alice: ALICE }, { KEY_RATE: { limit: async () => ({ success: ++counted > 0 }) } });
    const response = await postBatch(counting, messages);
    expect(response.status).toBe(200);
    expect((await response.text()).match(/structuredContent/g)).toHaveLength(messages);
    expect(counted).toBe(messages);
  });

  it("runs nothing of a batch that goes over its limit, or of one that is too long", async () => {
    let left = 50;
    const limited = keyed({ alice: ALICE }, { KEY_RATE: { limit: async () => ({ success: left-- > 0 }) } });
    const [over, long] = [await postBatch(limited, 51), await postBatch(server, 101)];
    expect(over.status).toBe(429);
    expect(over.headers.get("retry-after")).toBe("60");
    expect(await over.json()).toMatchObject({ error: "limit_reached" });
    expect(long.status).toBe(413);
    expect(await long.text()).not.toContain("structuredContent");
  });

  it("is in no log line and no answer, and neither is a token", async () => {
    const lines: string[] = [];
    for (const level of ["log", "warn", "error", "debug", "info"] as const) {
      const spy = vi.spyOn(console, level).mockImplementation((...words) => void lines.push(words.join(" ")));
      onTestFinished(() => spy.mockRestore());
    }
    const loud = keyed({ alice: ALICE, bob: { key: READER, scopes: ["read"] } }, { LOG_LEVEL: "DEBUG" });
    const { tokens, code } = await login(loud, ALICE);
    const wrong = newKey();
    const answers = [
      await loud.tool(ALICE, "get_instance_status", {}),
      await loud.tool(ALICE, "no_such_tool", {}),
      await loud.tool(READER, "spawn_claude", { name: "Ada" }),
      await loud.tool(tokens.access_token, "get_instance_status", {}),
      await loud.tool(wrong, "get_instance_status", {}),
      await (await postToken(loud, { grant_type: "refresh_token", refresh_token: tokens.access_token })).json(),
    ];
    expect(lines.join("\n")).toContain("tool.called");
    const seen = lines.join("\n") + JSON.stringify(answers);
    for (const secret of [ALICE, READER, wrong, tokens.access_token, tokens.refresh_token, code])
      expect(seen).not.toContain(secret);
  });
});

describe("the Host header", () => {
  it.each(["http://evil.example", "https://localhost.evil.example", "http://192.168.0.7:8001", "https://xworkers.dev"])(
    "%s is refused, with the right key as without",
    async (origin) => {
      const there = keyed({ alice: ALICE }, {}, origin);
      for (const path of ["/tools", "/mcp", "/.well-known/oauth-authorization-server", "/nope"]) {
        const response = await there.request(path, { key: ALICE });
        expect(response.status).toBe(403);
        expect(await response.json()).toMatchObject({
          error: "forbidden",
          message: expect.stringMatching(/PUBLIC_URL/),
        });
      }
    },
  );

  it.each([
    ["http://localhost", {}],
    ["http://127.0.0.1:8001", {}],
    ["https://madrox.alice.workers.dev", {}],
    ["https://madrox.example.com", { PUBLIC_URL: "https://madrox.example.com" }],
    ["http://madrox.example.com", { PUBLIC_URL: "https://madrox.example.com/" }],
    ["http://192.168.0.7:8001", { ALLOWED_HOSTS: "other.example, 192.168.0.7" }],
  ])("%s is answered", async (origin, vars) => {
    const there = keyed({ alice: ALICE }, vars, origin);
    expect((await there.request("/tools", { key: ALICE })).status).toBe(200);
    expect(await there.tool(ALICE, "get_instance_status", {})).toMatchObject({ success: true });
    expect(await there.mcpTool(ALICE, "get_instance_status", {})).toMatchObject({ success: true });
  });

  it.each(["madrox.example.com", "ftp://madrox.example.com", "https://madrox.example.com/path"])(
    "can't be told by PUBLIC_URL %s",
    async (PUBLIC_URL) => {
      const response = await keyed({ alice: ALICE }, { PUBLIC_URL }).request("/tools", { key: ALICE });
      expect(await response.json()).toMatchObject({
        error: "misconfigured",
        message: expect.stringMatching(/PUBLIC_URL/),
      });
    },
  );
});

describe("the Origin header", () => {
  const there = keyed(
    { alice: ALICE },
    { ALLOWED_ORIGINS: "https://console.example.com, http://localhost:6274" },
    "https://madrox.alice.workers.dev",
  );

  it.each([
    "https://evil.example",
    "https://console.example.com.evil.example",
    "https://madrox.bob.workers.dev",
    "http://localhost:5173",
    "http://console.example.com",
    "chrome-extension://abcdef",
    "null",
  ])("%s is refused, with the right key as without", async (origin) => {
    for (const path of ["/tools", "/health", "/mcp", "/.well-known/oauth-authorization-server"]) {
      const response = await there.request(path, { key: ALICE, headers: { origin } });
      expect(response.status).toBe(403);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
    }
    const preflight = await there.request("/mcp", { method: "OPTIONS", headers: { origin } });
    expect(preflight.headers.has("access-control-allow-origin")).toBe(false);
  });

  it.each(["https://console.example.com", "http://localhost:6274", "https://madrox.alice.workers.dev"])(
    "%s is named, and no other",
    async (origin) => {
      const preflight = await there.request("/mcp", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization, content-type, mcp-protocol-version",
        },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
      expect(preflight.headers.get("access-control-allow-headers")).toContain("authorization");
      expect(preflight.headers.has("access-control-allow-credentials")).toBe(false);
      for (const key of [ALICE, newKey()]) {
        const response = await there.request("/tools", { key, headers: { origin } });
        expect(response.headers.get("access-control-allow-origin")).toBe(origin);
        expect(response.headers.get("access-control-expose-headers")).toContain("WWW-Authenticate");
        expect(response.headers.get("vary")).toContain("Origin");
      }
      const mcp = await there.request("/mcp", {
        method: "POST",
        key: ALICE,
        headers: { origin, "content-type": "application/json", accept: "application/json, text/event-stream" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
      });
      expect(mcp.status).toBe(200);
      expect(mcp.headers.get("access-control-allow-origin")).toBe(origin);
      await mcp.body?.cancel();
    },
  );
});

describe("a path in disguise", () => {
  it.each([
    ["HEAD", "/instances"],
    ["GET", "/instances/"],
    ["GET", "//instances"],
    ["GET", "/./instances"],
    ["GET", "/%69nstances"],
    ["GET", "/health/../instances"],
    ["GET", "/health/%2e%2e/instances"],
    ["GET", "/instances?authorization=Bearer%20KEY&access_token=KEY"],
    ["PATCH", "/instances"],
    ["POST", "/MCP"],
    ["POST", "/mcp/"],
    ["GET", "/mcp"],
  ])("%s %s serves nobody without a key", async (method, path) => {
    const response = await server.request(path.replaceAll("KEY", ALICE), { method });
    expect([401, 404, 405]).toContain(response.status);
    expect(await response.text()).not.toContain("total_instances");
  });
});

describe("every answer", () => {
  it("tells browsers to trust it with nothing", async () => {
    const there = keyed({ alice: ALICE }, {}, "https://madrox.alice.workers.dev");
    const id = String((await there.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    await there.tool(ALICE, "write_instance_file", { instance_id: id, path: "a.html", content: "<script>1</script>" });
    const paths = ["/health", "/tools", "/metrics", "/nope", "/events", "/authorize", `/instances/${id}/files/a.html`];
    for (const path of paths) {
      for (const key of [ALICE, newKey()]) {
        const response = await there.request(path, { key });
        await response.body?.cancel();
        const { headers } = response;
        expect(headers.get("content-security-policy"), path).toMatch(/default-src 'none'/);
        expect(headers.get("x-content-type-options"), path).toBe("nosniff");
        expect(headers.get("x-frame-options"), path).toBe("DENY");
        expect(headers.get("strict-transport-security"), path).toMatch(/^max-age=\d+/);
        expect(headers.has("referrer-policy"), path).toBe(true);
        expect(headers.get("cache-control"), path).toMatch(/no-store|no-cache/);
        expect(headers.has("x-powered-by"), path).toBe(false);
      }
    }
  });

  it("is to a request without the headers that name callers inside", async () => {
    const request = new Request("http://localhost/", {
      method: "POST",
      body: "kept",
      headers: { "X-Agents-Props": "{}", "x-agents-anything": "1", "x-other": "kept" },
    });
    const clean = withoutAgentHeaders(request);
    expect([...clean.headers.keys()].filter((name) => name.startsWith("x-agents-"))).toEqual([]);
    expect(clean.headers.get("x-other")).toBe("kept");
    expect(await clean.text()).toBe("kept");
  });
});

describe("a tenant's own Anthropic key", () => {
  it("is used for that tenant's calls, and the server's for all others", async () => {
    const used = new Set<string | null>();
    scriptModel((call) => {
      used.add(call.headers.get("authorization"));
      return undefined;
    });
    const [own, other] = [newKey(), newKey()];
    // vitest.config.ts gives this tenant a key of its own.
    const both = keyed({ "brings-a-key": own, "brings-none": other });
    for (const key of [own, other]) {
      used.clear();
      const id = String((await both.tool(key, "spawn_claude", { name: "Ada" })).instance_id);
      const sent = await both.tool(key, "send_to_instance", { instance_id: id, message: "Hello" });
      expect(sent).toMatchObject({ success: true, status: "completed" });
      expect([...used]).toEqual([key === own ? "Bearer a-key-of-the-tenant" : "Bearer a-key-for-tests"]);
    }
  });
});

/** What a tenant can see, all of it, as one text. */
async function everythingSeenBy(server: Keyed, key: string): Promise<string> {
  const seen: string[] = [];
  const instances: string[] = [];
  let cursor: unknown;
  do {
    const page = await server.tool(key, "get_instance_status", { limit: 100, ...(cursor ? { cursor } : {}) });
    seen.push(JSON.stringify(page));
    const status = page.status as { instances: Record<string, unknown>; next_cursor?: string };
    instances.push(...Object.keys(status.instances));
    cursor = status.next_cursor ?? page.next_cursor;
  } while (cursor);
  for (const instance_id of instances) {
    for (const name of ["get_instance_output", "list_instance_files"])
      seen.push(JSON.stringify(await server.tool(key, name, { instance_id })));
    seen.push(await (await server.request(`/instances/${instance_id}/files/notes.txt`, { key })).text());
  }
  for (const path of ["/health", "/metrics", "/instances", "/tools"])
    seen.push(await (await server.request(path, { key })).text());
  const events = await server.request("/events?after=0", { key });
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (reader && !text.includes(instances.at(-1) ?? "")) text += (await reader.read()).value ?? "";
  await reader?.cancel();
  return [...seen, text].join("\n");
}

describe("two tenants side by side", () => {
  it("see nothing of each other, at work all at once", async () => {
    const names = ["red", "blue"] as const;
    const keys = { red: newKey(), blue: newKey() };
    const both = keyed({ red: keys.red, blue: keys.blue });
    const ids: Record<string, string[]> = { red: [], blue: [] };
    await Promise.all(
      names.flatMap((name) =>
        Array.from({ length: 6 }, async (_, i) => {
          const key = keys[name];
          const spawned = await both.tool(key, "spawn_claude", {
            name: `${name}-worker-${i}`,
            // The same key of idempotency in both: it must not find the other's answer.
            idempotency_key: `worker-${i}`,
          });
          const instance_id = String(spawned.instance_id);
          ids[name]?.push(instance_id);
          await both.tool(key, "write_instance_file", { instance_id, path: "notes.txt", content: `secret of ${name}` });
          for (let turn = 0; turn < 3; turn++) {
            const sent = await both.tool(key, "send_to_instance", { instance_id, message: `${name} says ${turn}` });
            expect(sent).toMatchObject({ success: true, status: "completed" });
            ids[name]?.push(String(sent.message_id));
          }
        }),
      ),
    );
    const [red, blue] = [await everythingSeenBy(both, keys.red), await everythingSeenBy(both, keys.blue)];
    for (const [name, other, seen] of [
      ["red", "blue", red],
      ["blue", "red", blue],
    ] as const) {
      expect(seen).toContain(`secret of ${name}`);
      expect(seen).toContain(`${name} says 2`);
      expect(seen).not.toMatch(new RegExp(`\\b${other}\\b`));
      for (const id of ids[other] ?? []) expect(seen).not.toContain(id);
      for (const id of ids[name]?.filter((one) => one.startsWith("inst_")) ?? []) expect(seen).toContain(id);
      expect(await (await both.request("/health", { key: keys[name] })).json()).toMatchObject({ total_instances: 6 });
    }
  });
});
