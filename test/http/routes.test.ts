/**
 * The table of routes against the server that is made from it: every route and every tool for every kind of caller, and that
 * nothing outside the table is answered.
 */

import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { allows, SCOPES, type Scope } from "../../src/contracts/scopes.ts";
import type { OpenApi } from "../../src/http/openapi/document.ts";
import { type Access, nameOf, type Route } from "../../src/http/route.ts";
import { ROUTES } from "../../src/http/routes.ts";
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from "../../src/platform/bounded-json.ts";
import { newInstanceId, questionIdOf } from "../../src/platform/ids.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import { type Json, request } from "../support/door.ts";
import { jobWith, newKey } from "../support/keyed.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { login, postToken } from "../support/oauth.ts";
import { ALICE, BOB, OPERATOR, READER, server } from "../support/tenants.ts";

installModel();
beforeEach(() => scriptModel(() => undefined));

/** A path that fits a route's. */
function pathFor({ path }: Pick<Route, "path">, id = newInstanceId()): string {
  return path.replace(":id", id).replace(":name", "no_such_name").replace("*", "a.txt");
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"];

const BY_PATH = [...Map.groupBy(ROUTES, ({ path }) => path)].map(([path, routes]) => ({
  path,
  allow: routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method as string])),
}));

describe("the table of routes", () => {
  it("has each method of a path once", () => {
    const names = ROUTES.map(nameOf);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("lets callers who may read change nothing, and only administrators delete for good", () => {
    const of = (scope: Access) => ROUTES.filter(({ access }) => access === scope).map(nameOf);
    expect(of("read").filter((route) => !route.startsWith("GET "))).toEqual(["POST /instances/:id/health"]);
    expect(of("admin").sort()).toEqual([
      "DELETE /instances/:id",
      "DELETE /jobs/:id",
      "DELETE /webhooks/:id",
      "GET /webhooks",
      "GET /webhooks/:id",
      "POST /webhooks",
    ]);
  });

  it("leaves nothing open beside what has to be", () => {
    const open = ROUTES.filter(({ access }) => access === "anyone" || access === "optional");
    expect(open.map(nameOf).sort()).toEqual([
      "GET /.well-known/oauth-authorization-server",
      "GET /.well-known/oauth-protected-resource",
      "GET /.well-known/oauth-protected-resource/mcp",
      "GET /authorize",
      "GET /dashboard",
      "GET /dashboard/*",
      "GET /docs",
      "GET /favicon.ico",
      "GET /favicon.svg",
      "GET /health",
      "GET /openapi.json",
      "POST /authorize",
      "POST /oauth/register",
      "POST /oauth/token",
    ]);
  });
});

describe("outside the table of routes", () => {
  it.each(BY_PATH)("$path answers 405 to every method but $allow", async ({ path, allow }) => {
    for (const method of METHODS.filter((one) => !allow.includes(one))) {
      const response = await request(pathFor({ path }), { method });
      expect(response.status, method).toBe(405);
      expect(response.headers.get("allow"), method).toBe(allow.join(", "));
      const answer = await response.text();
      if (method !== "HEAD") expect(JSON.parse(answer)).toMatchObject({ success: false, error: "method_not_allowed" });
    }
    const options = await request(pathFor({ path }), { method: "OPTIONS" });
    expect(options.status).toBe(204);
    expect(options.headers.get("allow")).toBe(allow.join(", "));
  });

  /** Whether a path fits one of the table. */
  const isInTable = (path: string) =>
    BY_PATH.some((row) => new RegExp(`^${row.path.replace(/:[a-z]+/g, "[^/]+").replace("*", ".*")}$`).test(path));
  const neighbours = BY_PATH.flatMap(({ path }) => {
    const there = pathFor({ path });
    return [
      `${there}/`,
      `${there}/more`,
      `/more${there}`,
      `${there}x`,
      there.toUpperCase(),
      `/${there}`,
      there.slice(0, -1),
    ];
  });

  it("is no path beside one of it", async () => {
    for (const path of new Set(neighbours.filter((one) => one.startsWith("/") && !isInTable(one)))) {
      for (const method of [...METHODS, "OPTIONS"]) {
        const response = await request(path, { method });
        expect(response.status, `${method} ${path}`).toBe(404);
        const answer = await response.text();
        if (method !== "HEAD") expect(JSON.parse(answer)).toMatchObject({ success: false, error: "not_found" });
      }
    }
  });
});

/** A body of its own type that a route takes in part, so that it is the query that is refused. */
function bodyFor({ body }: Route): RequestInit {
  if (!body) return {};
  return { body: body.type === "application/octet-stream" ? "text" : "{}", headers: { "content-type": body.type } };
}

describe("the query", () => {
  const closed = ROUTES.filter(({ query }) => query.schema() !== null);
  const send = (route: Route, search: string) =>
    request(`${pathFor(route)}?${search}`, { method: route.method, ...bodyFor(route) });

  it.each(closed.map((route) => [nameOf(route), route] as const))(
    "of %s may have what is declared, once each, and nothing else",
    async (_name, route) => {
      const declared = Object.keys(route.query.schema()?.properties ?? {});
      const wrong = [
        ["colour", "colour=red"],
        ["__proto__", "__proto__=1"],
        ...declared.map((name) => [name, `${name}=1&${name}=1`] as const),
      ] as const;
      for (const [name, search] of wrong) {
        const response = await send(route, search);
        expect(response.status, search).toBe(400);
        const answer = await response.json();
        expect(answer, search).toMatchObject({ error: "invalid_input", details: { field: name } });
        expect((answer as Json).message).toContain(name);
      }
    },
  );

  it("is left to standards and pages at no more routes than these", () => {
    const open = ROUTES.filter(({ query }) => query.schema() === null);
    expect(open.map(nameOf).sort()).toEqual([
      "GET /authorize",
      "GET /dashboard",
      "GET /dashboard/*",
      "POST /authorize",
      "POST /oauth/token",
    ]);
  });
});

describe("a body of JSON", () => {
  const taking = ROUTES.filter(({ body }) => body?.type === "application/json");
  const send = (route: Route, body: string) =>
    request(pathFor(route), {
      method: route.method,
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body,
    });

  it.each(taking.map((route) => [nameOf(route), route] as const))(
    "for %s is refused for what it would take in memory",
    async (_name, route) => {
      const many = await send(route, `{"x":[${"[],".repeat(MAX_JSON_VALUES / 2)}1]}`);
      expect(many.status).toBe(413);
      expect(await many.text()).toMatch(/has more than 50000 values|is larger than 65536 bytes/);
      const deep = await send(route, `{"x":${"[".repeat(MAX_JSON_DEPTH)}${"]".repeat(MAX_JSON_DEPTH)}}`);
      expect(deep.status).toBeGreaterThanOrEqual(400);
      expect(deep.status).toBeLessThan(500);
      await deep.text();
    },
  );
});

describe("HEAD", () => {
  it.each(ROUTES.filter(({ method }) => method === "GET").map((route) => [route.path, route] as const))(
    "of %s is answered as GET is, without a body",
    async (_path, route) => {
      const [head, get] = [
        await request(pathFor(route), { method: "HEAD", redirect: "manual" }),
        await request(pathFor(route), { redirect: "manual" }),
      ];
      await get.body?.cancel();
      expect(head.status).toBe(get.status);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
      expect(await head.text()).toBe("");
    },
  );
});

/** What a caller sends as Authorization, and what that makes it. */
interface Caller {
  who: string;
  /** null: a stranger. */
  scopes: readonly Scope[] | null;
  tenant?: "alice" | "bob";
  authorization(): Promise<string | null>;
}

async function expiredToken(): Promise<string> {
  const { access_token } = (await login(server, ALICE)).tokens;
  const [userId, grantId] = access_token.split(":");
  const kv = env.OAUTH_KV as KVNamespace;
  const { keys } = await kv.list({ prefix: `token:${userId}:${grantId}:` });
  for (const { name } of keys) {
    const record = (await kv.get(name, "json")) as object;
    await kv.put(name, JSON.stringify({ ...record, expiresAt: Math.floor(Date.now() / 1000) - 1 }));
  }
  return access_token;
}

async function revokedToken(): Promise<string> {
  const { clientId, tokens } = await login(server, ALICE);
  const response = await postToken(server, { token: tokens.access_token, client_id: clientId });
  expect(response.status).toBe(200);
  return tokens.access_token;
}

/** What a client gets that asks for nothing but to stay logged in. */
async function scopelessToken(): Promise<string> {
  const asks = { scope: "read offline_access" };
  const { clientId, tokens } = await login(server, ALICE, { scopes: ["read"], asks });
  const form = { grant_type: "refresh_token", refresh_token: tokens.refresh_token, client_id: clientId };
  const response = await postToken(server, { ...form, scope: "offline_access" });
  const token = (await response.json()) as { access_token: string; scope: string };
  expect(token.scope).toBe("offline_access");
  return token.access_token;
}

const bearer = async (token: string | Promise<string>) => `Bearer ${await token}`;

const CALLERS: readonly Caller[] = [
  { who: "nobody", scopes: null, authorization: async () => null },
  { who: "a malformed header", scopes: null, authorization: async () => "Bearer" },
  { who: "another scheme", scopes: null, authorization: async () => `Basic ${btoa(`alice:${ALICE}`)}` },
  { who: "an unknown key", scopes: null, authorization: () => bearer(newKey()) },
  { who: "a key and more", scopes: null, authorization: () => bearer(`${ALICE}x`) },
  { who: "an invented token", scopes: null, authorization: () => bearer("alice.00000000:grant:secret") },
  { who: "an expired token", scopes: null, authorization: () => bearer(expiredToken()) },
  { who: "a revoked token", scopes: null, authorization: () => bearer(revokedToken()) },
  { who: "a key that may read", scopes: ["read"], authorization: () => bearer(READER) },
  {
    who: "a token that may read",
    scopes: ["read"],
    authorization: async () => bearer((await login(server, ALICE, { scopes: ["read"] })).tokens.access_token),
  },
  { who: "a token without a scope of this server", scopes: [], authorization: () => bearer(scopelessToken()) },
  { who: "a key that may operate", scopes: ["operate"], authorization: () => bearer(OPERATOR) },
  {
    who: "a token that may everything",
    scopes: SCOPES,
    authorization: async () => bearer((await login(server, ALICE, { scopes: SCOPES })).tokens.access_token),
  },
  { who: "the right key", scopes: SCOPES, authorization: () => bearer(ALICE) },
  { who: "the key of another tenant", scopes: SCOPES, tenant: "bob", authorization: () => bearer(BOB) },
];

describe("a token without a scope of this server", () => {
  it.each([
    ["initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } }],
    ["tools/list", {}],
    ["resources/list", {}],
    ["resources/templates/list", {}],
    ["resources/read", { uri: "tree://all" }],
    ["resources/read", { uri: "workspace://ID/a.txt" }],
    ["resources/read", { uri: "instance://ID/transcript" }],
    ["prompts/list", {}],
    ["tasks/get", { taskId: "MESSAGE" }],
    ["tasks/cancel", { taskId: "MESSAGE" }],
  ])("can't call %s of MCP, with %j", async (method, params) => {
    const id = String((await server.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    await server.tool(ALICE, "write_instance_file", { instance_id: id, path: "a.txt", content: "hidden words" });
    const sent = await server.tool(ALICE, "send_to_instance", { instance_id: id, message: "hidden words" });
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })
      .replace("ID", id)
      .replace("MESSAGE", String(sent.message_id));
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const response = await server.request("/mcp", { method: "POST", key: await scopelessToken(), headers, body });
    expect(response.status).toBe(403);
    expect(response.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
    expect(await response.json()).toMatchObject({ error: "forbidden", details: { required_scope: "read" } });
  });
});

/** What a stranger's answer has to be. */
function refusedAsStranger(access: Access, keyGiven: boolean): boolean {
  if (access === "anyone") return false;
  return access !== "optional" || keyGiven;
}

/** The statuses that the OpenAPI document has for a route; null where it says nothing of it. */
function documented({ paths }: OpenApi, { path, method, operation }: Route): string[] | null {
  const template = path.replace(/:([a-z]+)/g, "{$1}").replace("*", "{path}");
  return operation && Object.keys(paths[template]?.[method.toLowerCase()]?.responses ?? {});
}

async function bodyStart(response: Response): Promise<Json> {
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return (await response.json()) as Json;
  if (type.startsWith("text/event-stream")) await response.body?.cancel();
  else await response.arrayBuffer();
  return {} as Json;
}

describe.each(CALLERS)("$who", ({ scopes, tenant = "alice", authorization }) => {
  it("gets at each route what the table and the OpenAPI document say", async () => {
    const header = await authorization();
    const instance = String((await server.tool(ALICE, "spawn_claude", { name: "Ada" })).instance_id);
    await server.tool(ALICE, "write_instance_file", { instance_id: instance, path: "a.txt", content: "hello" });
    const job = await jobWith(server, ALICE, instance);
    const document = (await (await server.request("/openapi.json")).json()) as OpenApi;
    for (const route of ROUTES) {
      const { method, path, access } = route;
      const id = path.startsWith("/questions") ? questionIdOf(instance, 1) : path.startsWith("/jobs") ? job : instance;
      const response = await server.request(pathFor(route, id), {
        method,
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          ...(header === null ? {} : { authorization: header }),
        },
        ...(method === "POST" || method === "PUT"
          ? { body: path.startsWith("/jobs") ? "{}" : '{"answer": "yes"}' }
          : {}),
      });
      const answer = await bodyStart(response);
      const at = `${method} ${path}: ${response.status} ${JSON.stringify(answer).slice(0, 200)}`;
      expect(response.status, at).toBeLessThan(500);
      expect(documented(document, route) ?? [`${response.status}`], at).toContain(`${response.status}`);
      if (scopes === null) {
        expect(response.status === 401, at).toBe(refusedAsStranger(access, header !== null));
        if (response.status === 401) {
          expect(answer, at).toMatchObject({ success: false, error: "unauthorized" });
          expect(response.headers.get("www-authenticate"), at).toMatch(
            /^Bearer realm="madrox".*scope="read operate", resource_metadata="http:\/\/localhost\/\.well-known\/oauth-protected-resource/,
          );
        }
        continue;
      }
      const ofTool = CATALOGUE.find(({ name }) => path === `/tools/${name}`)?.scope;
      // Every scope includes read, so it is the least that a caller has to have.
      const needed = ofTool ?? SCOPES.find((scope) => scope === access) ?? "read";
      const allowed = access === "anyone" || allows(scopes, needed);
      expect(response.status === 401, at).toBe(false);
      expect(response.status === 403 && access !== "anyone", at).toBe(!allowed);
      if (!allowed && !ofTool) {
        expect(response.headers.get("www-authenticate"), at).toContain('error="insufficient_scope"');
      }
      if (allowed && tenant !== "alice" && path.includes(":id")) {
        expect(response.status, at).toBe(404);
        expect(answer, at).toMatchObject({ error: "not_found" });
      }
    }
  });

  it("may run of each tool what its scope allows, over REST and over MCP", async () => {
    const key = (await authorization())?.slice("Bearer ".length) ?? "";
    if (scopes === null || scopes.length === 0) return;
    for (const { name, scope, scopeFor, input } of CATALOGUE) {
      const parsed = input.safeParse({});
      const needed = parsed.success && scopeFor ? scopeFor(parsed.data) : scope;
      for (const answer of [await server.tool(key, name, {}), await server.mcpTool(key, name, {})]) {
        expect(answer.error === "forbidden", `${name}: ${answer.message}`).toBe(!allows(scopes, needed));
      }
    }
  });
});
