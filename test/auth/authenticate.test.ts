/**
 * Access keys and who calls with them: scopes, two tenants who must not notice each other, what is counted, the Host and Origin
 * headers, and what browsers are told. The access rules of the routes are tried in test/http/routes.test.ts.
 */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { configOf } from "../../src/config/config.ts";
import { newInstanceId, questionIdOf } from "../../src/platform/ids.ts";
import { VERSION } from "../../src/platform/version.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import type { Json } from "../support/door.ts";
import { jobWith, type Keyed, keyed, newKey } from "../support/keyed.ts";
import { modernRequest } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { ALICE, BOB, OPERATOR, READER, server } from "../support/tenants.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("the scopes of a key", () => {
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

describe("a task over MCP", () => {
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
