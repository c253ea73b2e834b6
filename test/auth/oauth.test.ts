/**
 * Logging in with OAuth: as the client libraries of both eras do it, as a person in front of the page does it, and as
 * somebody does it who shouldn't.
 */
import { env } from "cloudflare:workers";
import {
  Client as ModernClient,
  type OAuthClientProvider as ModernProvider,
  StreamableHTTPClientTransport as ModernTransport,
  type Transport as ModernTransportShape,
} from "@modelcontextprotocol/client";
import type { OAuthClientProvider as LegacyProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as LegacyTransportShape } from "@modelcontextprotocol/sdk/shared/transport.js";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Keyed, keyed, newKey } from "../support/keyed.ts";
import {
  authorizePath,
  CALLBACK,
  comesBackWith,
  decide,
  JSON_TYPE,
  type Login,
  login,
  newPkce,
  pageOf,
  postToken,
  refresh,
  register,
  type Tokens,
} from "../support/oauth.ts";

const KEY = newKey();
const READER = newKey();
const KEYS = { alice: KEY, bob: { key: READER, scopes: ["read"] } };
const server = keyed(KEYS);

const statusWith = async (token: string, path = "/instances", at = server) =>
  (await at.request(path, { key: token })).status;

async function page(change: Record<string, string | null> = {}, metadata: Record<string, unknown> = {}) {
  const clientId = await register(server, metadata);
  const pkce = await newPkce();
  return { clientId, pkce, ...(await pageOf(await server.request(authorizePath(clientId, pkce, change)))) };
}

/** A client's memory, and the user whom it sends to the browser. */
class Memory {
  readonly redirectUrl = CALLBACK;
  readonly clientMetadata = {
    client_name: "A real client",
    redirect_uris: [CALLBACK],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  saved: Tokens | undefined;
  sentTo: URL | undefined;
  #client: { client_id: string } | undefined;
  #verifier = "";
  clientInformation = () => this.#client;
  saveClientInformation(client: { client_id: string }): void {
    this.#client = client;
  }
  tokens = () => this.saved;
  saveTokens(tokens: unknown): void {
    this.saved = tokens as Tokens;
  }
  redirectToAuthorization(url: URL): void {
    this.sentTo = url;
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }
  codeVerifier = () => this.#verifier;
}

interface Peer {
  connect(): Promise<void>;
  finish(parameters: URLSearchParams): Promise<void>;
  call(): Promise<unknown>;
}

const INFO = { name: "test", version: "1" };
const URL_OF_MCP = new URL("/mcp", server.origin);

function legacyPeer(memory: Memory): Peer {
  const authProvider = memory as unknown as LegacyProvider;
  let client = new LegacyClient(INFO);
  let transport = new LegacyTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
  return {
    connect: async () => {
      client = new LegacyClient(INFO);
      transport = new LegacyTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
      onTestFinished(() => client.close());
      await client.connect(transport as LegacyTransportShape);
    },
    finish: (parameters) => transport.finishAuth(parameters.get("code") ?? ""),
    call: async () => (await client.callTool({ name: "get_instance_status", arguments: {} })).structuredContent,
  };
}

function modernPeer(memory: Memory): Peer {
  const authProvider = memory as unknown as ModernProvider;
  let client = new ModernClient(INFO);
  let transport = new ModernTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
  return {
    connect: async () => {
      client = new ModernClient(INFO, { versionNegotiation: { mode: "auto" } });
      transport = new ModernTransport(URL_OF_MCP, { fetch: server.fetch, authProvider });
      onTestFinished(() => client.close());
      await client.connect(transport as ModernTransportShape);
    },
    finish: (parameters) => transport.finishAuth(parameters),
    call: async () => (await client.callTool({ name: "get_instance_status", arguments: {} })).structuredContent,
  };
}

describe.each([
  { era: "2025-11-25", peerOf: legacyPeer },
  { era: "2026-07-28", peerOf: modernPeer },
])("a client library of $era", ({ peerOf }) => {
  it("finds the login by itself, registers, gets in, refreshes, and is out once revoked", async () => {
    const memory = new Memory();
    const peer = peerOf(memory);
    await expect(peer.connect()).rejects.toThrow();
    const { sentTo } = memory;
    expect(sentTo?.searchParams.get("resource")).toBe("http://localhost/mcp");
    expect(sentTo?.searchParams.get("scope")?.split(" ")).toEqual(expect.arrayContaining(["read", "operate"]));
    const asked = await pageOf(await server.request(`${sentTo?.pathname}${sentTo?.search}`));
    expect(asked.html).toContain("A real client");
    await peer.finish(new URLSearchParams(comesBackWith(await decide(server, asked, { key: KEY }))));
    await peer.connect();
    expect(await peer.call()).toMatchObject({ success: true });

    const first = memory.saved as Tokens;
    memory.saved = { ...first, access_token: "alice.00000000:gone:gone" };
    expect(await peer.call()).toMatchObject({ success: true });
    const second = memory.saved as Tokens;
    expect(second.access_token).not.toBe(first.access_token);
    expect(second.refresh_token).not.toBe(first.refresh_token);

    const clientId = memory.clientInformation()?.client_id ?? "";
    expect((await postToken(server, { token: second.refresh_token, client_id: clientId })).status).toBe(200);
    expect(await statusWith(second.access_token)).toBe(401);
    expect((await refresh(server, clientId, second.refresh_token)).status).toBe(400);
    await expect(peer.call()).rejects.toThrow();
  });
});

describe("the audit trail", () => {
  /** What a tenant has on record of logins, without what differs each time. */
  async function recordOf(at: Keyed, key: string): Promise<Record<string, unknown>[]> {
    const lines = new TextDecoder()
      .decode(await (await at.request("/audit", { key })).arrayBuffer())
      .split("\n")
      .slice(0, -1);
    for (const { tokens } of issued) {
      for (const secret of [key, tokens.access_token, tokens.refresh_token])
        expect(lines.join("")).not.toContain(secret);
    }
    return lines
      .map((line) => JSON.parse(line) as { kind: string; data: Record<string, unknown> })
      .filter(({ kind }) => kind === "audit.called")
      .map(({ data: { tool, outcome, actor, client, scopes, subject } }) => ({
        step: [tool, outcome, scopes],
        actor,
        client,
        grant: subject,
      }));
  }

  let issued: Login[] = [];
  async function houseOf(tenant: string, scopes?: string[]) {
    issued = [];
    const key = newKey();
    const at = keyed({ [tenant]: scopes ? { key, scopes } : key });
    const enter = async () => {
      const made = await login(at, key);
      issued.push(made);
      return { ...made, grant: made.tokens.access_token.split(":")[1] };
    };
    const id = (await (await at.request("/sign-in", { method: "POST", key })).json()) as { key_id: string };
    return { key, at, enter, actor: `key:${id.key_id}` };
  }

  it("says which key let which client in, for what, and when that ended", async () => {
    const { key, at, enter, actor } = await houseOf("on-record");
    const { clientId: client, tokens, grant } = await enter();
    await refresh(at, client, tokens.refresh_token);
    await postToken(at, { token: tokens.refresh_token, client_id: "another" });
    await postToken(at, { token: tokens.refresh_token, client_id: client });
    expect(await recordOf(at, key)).toEqual([
      { step: ["sign_in", "ok", "read operate admin"], actor },
      { step: ["oauth_grant", "ok", "read operate"], actor, client },
      { step: ["oauth_login", "ok", "read operate"], actor, client, grant },
      { step: ["oauth_revoke", "ok", undefined], actor, client, grant },
    ]);
  });

  it("says what the server ends by itself: what works once came twice, or the key is gone", async () => {
    const { key, at, enter } = await houseOf("ended-by-itself");
    const [replayed, stolen, orphan] = [await enter(), await enter(), await enter()];
    await postToken(at, replayed.exchange);
    for (let token = stolen.tokens.refresh_token, i = 0; i < 2; i++)
      token = ((await (await refresh(at, stolen.clientId, token)).json()) as Tokens).refresh_token;
    await refresh(at, stolen.clientId, stolen.tokens.refresh_token);
    const other = newKey();
    const changed = keyed({ "ended-by-itself": other });
    await refresh(changed, orphan.clientId, orphan.tokens.refresh_token);
    const ends = (await recordOf(changed, other)).filter(({ step }) => String(step).startsWith("oauth_revoke"));
    expect(ends).toEqual(
      [replayed, stolen, orphan].map(({ clientId: client, grant }) => ({
        step: ["oauth_revoke", "ok", undefined],
        actor: "server",
        client,
        grant,
      })),
    );
    expect(await recordOf(changed, other)).not.toContain(key);
  });

  /** A text in the form of a token of the grant. */
  const inventedFor = ({ tokens }: Login) =>
    `${tokens.access_token.split(":").slice(0, 2).join(":")}:${"x".repeat(32)}`;

  const withoutRight: [what: string, form: (own: Login, other: string) => Record<string, string>][] = [
    ["a made-up token to revoke", (own) => ({ token: inventedFor(own), client_id: own.clientId })],
    ...["access_token", "refresh_token"].map((token_type_hint): (typeof withoutRight)[number] => [
      `a made-up ${token_type_hint} to revoke, said to be one`,
      (own) => ({ token: inventedFor(own), client_id: own.clientId, token_type_hint }),
    ]),
    [
      "a made-up refresh token",
      (own) => ({ grant_type: "refresh_token", refresh_token: inventedFor(own), client_id: own.clientId }),
    ],
    [
      "a made-up refresh token of another client",
      (own, other) => ({ grant_type: "refresh_token", refresh_token: inventedFor(own), client_id: other }),
    ],
    ["a made-up code", (own) => ({ ...own.exchange, code: inventedFor(own) })],
    [
      "a real access token that another client revokes",
      (own, other) => ({ token: own.tokens.access_token, client_id: other }),
    ],
    [
      "a real refresh token that another client revokes",
      (own, other) => ({ token: own.tokens.refresh_token, client_id: other }),
    ],
    [
      "a real refresh token that nobody knows revokes",
      (own) => ({ token: own.tokens.refresh_token, client_id: "unknown" }),
    ],
    ["a real refresh token without a client", (own) => ({ token: own.tokens.refresh_token })],
    [
      "an old refresh token that another client presents",
      (own, other) => ({ grant_type: "refresh_token", refresh_token: own.tokens.refresh_token, client_id: other }),
    ],
    ["a used code that another client presents", (own, other) => ({ ...own.exchange, client_id: other })],
  ];

  it.each(withoutRight)("and the login stay as they are for %s", async (_what, form) => {
    const { key, at, enter } = await houseOf(`untouched-${crypto.randomUUID().slice(0, 8)}`);
    const own = await enter();
    const second = (await (await refresh(at, own.clientId, own.tokens.refresh_token)).json()) as Tokens;
    const third = (await (await refresh(at, own.clientId, second.refresh_token)).json()) as Tokens;
    const before = await recordOf(at, key);
    await postToken(at, form({ ...own }, await register(at)));
    expect(await recordOf(at, key)).toEqual(before);
    for (const { access_token } of [own.tokens, second, third])
      expect(await statusWith(access_token, "/instances", at)).toBe(200);
    expect((await refresh(at, own.clientId, third.refresh_token)).status).toBe(200);
  });

  it("stay as they are for a client that doesn't prove that it is the one", async () => {
    const { key, at } = await houseOf("unproven");
    const registered = await at.request("/oauth/register", {
      method: "POST",
      headers: JSON_TYPE,
      body: JSON.stringify({ redirect_uris: [CALLBACK], token_endpoint_auth_method: "client_secret_post" }),
    });
    const { client_id, client_secret } = (await registered.json()) as Record<string, string>;
    const pkce = await newPkce();
    const asked = await pageOf(await at.request(authorizePath(String(client_id), pkce)));
    const { code = "" } = comesBackWith(await decide(at, asked, { key }));
    const proof = { client_id: String(client_id), client_secret: String(client_secret) };
    const exchange = { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: pkce.verifier };
    const tokens = (await (await postToken(at, { ...exchange, ...proof })).json()) as Tokens;
    const before = await recordOf(at, key);
    const unproven = { token: tokens.refresh_token, client_id: String(client_id) };
    expect((await postToken(at, unproven)).status).toBe(401);
    expect((await postToken(at, { ...unproven, client_secret: "guessed" })).status).toBe(401);
    expect(await recordOf(at, key)).toEqual(before);
    expect((await postToken(at, { ...unproven, ...proof })).status).toBe(200);
    expect((await recordOf(at, key)).at(-1)).toMatchObject({
      step: ["oauth_revoke", "ok", undefined],
      client: client_id,
    });
    expect(await statusWith(tokens.access_token, "/instances", at)).toBe(401);
  });

  it("is no condition of an end: a token is revoked although the log can't be reached", async () => {
    const { key, at, enter } = await houseOf("ends-unrecorded");
    const { clientId, tokens } = await enter();
    const away = keyed(
      { "ends-unrecorded": key },
      { ORCHESTRATOR: { getByName: () => ({}) } as unknown as Env["ORCHESTRATOR"] },
    );
    expect((await postToken(away, { token: tokens.refresh_token, client_id: clientId })).status).toBe(200);
    expect(await statusWith(tokens.access_token, "/instances", at)).toBe(401);
  });

  it("says of a grant that the key has no right to that it was refused", async () => {
    const { key, at } = await houseOf("read-only-house", ["read"]);
    const clientId = await register(at);
    const asked = await pageOf(await at.request(authorizePath(clientId, await newPkce())));
    await decide(at, asked, { key, scopes: ["admin"] });
    expect((await recordOf(at, key)).at(-1)).toMatchObject({
      step: ["oauth_grant", "forbidden", ""],
      client: clientId,
    });
  });

  it("lets nobody in whom it can't put on record", async () => {
    const { key, at } = await houseOf("no-record");
    const clientId = await register(at);
    const asked = await pageOf(await at.request(authorizePath(clientId, await newPkce())));
    const away = keyed(
      { "no-record": key },
      { ORCHESTRATOR: { getByName: () => ({}) } as unknown as Env["ORCHESTRATOR"] },
    );
    expect((await decide(away, asked, { key })).status).toBe(500);
    expect((await env.OAUTH_KV?.list({ prefix: "grant:no-record." }))?.keys).toEqual([]);
  });
});

describe("discovery", () => {
  it("leads from a 401 over the resource to the authorization server", async () => {
    for (const path of ["/mcp", "/"]) {
      const response = await server.request(path, { method: "POST" });
      const url = /resource_metadata="([^"]+)"/.exec(response.headers.get("www-authenticate") ?? "")?.[1] ?? "";
      const metadata = await server.fetch(url);
      expect(await metadata.json()).toEqual({
        resource: `http://localhost${path}`,
        authorization_servers: ["http://localhost"],
        scopes_supported: ["read", "operate"],
        bearer_methods_supported: ["header"],
        resource_name: "Madrox",
      });
    }
    expect(await (await server.request("/.well-known/oauth-authorization-server")).json()).toMatchObject({
      issuer: "http://localhost",
      authorization_endpoint: "http://localhost/authorize",
      token_endpoint: "http://localhost/oauth/token",
      revocation_endpoint: "http://localhost/oauth/token",
      registration_endpoint: "http://localhost/oauth/register",
      code_challenge_methods_supported: ["S256"],
      scopes_supported: ["read", "operate", "admin", "offline_access"],
      response_types_supported: ["code"],
      client_id_metadata_document_supported: true,
      authorization_response_iss_parameter_supported: true,
    });
  });

  it("names the public address where a proxy stands before the server", async () => {
    const behind = keyed(KEYS, { PUBLIC_URL: "https://madrox.example.com" }, "http://madrox.example.com");
    expect((await behind.request("/mcp", { method: "POST" })).headers.get("www-authenticate")).toContain(
      'resource_metadata="https://madrox.example.com/.well-known/oauth-protected-resource/mcp"',
    );
    expect(await (await behind.request("/.well-known/oauth-authorization-server")).json()).toMatchObject({
      issuer: "https://madrox.example.com",
    });
    const { tokens } = await login(behind, KEY);
    expect(tokens.resource).toBe("https://madrox.example.com/mcp");
    expect(await statusWith(tokens.access_token, "/instances", behind)).toBe(200);
  });

  it("is not there where no keys are, so that no client tries", async () => {
    const open = keyed(undefined);
    for (const [method, path] of [
      ["GET", "/.well-known/oauth-protected-resource/mcp"],
      ["GET", "/.well-known/oauth-authorization-server"],
      ["GET", "/authorize?client_id=x"],
      ["POST", "/oauth/register"],
    ] as const) {
      const response = await open.request(path, { method, from: "127.0.0.1" });
      expect(response.status, path).toBe(404);
    }
  });

  it("says what is missing where nothing keeps the tokens", async () => {
    const without = keyed(KEYS, { OAUTH_KV: undefined } as unknown as Partial<Env>);
    const response = await without.request("/.well-known/oauth-authorization-server");
    expect(await response.json()).toMatchObject({
      error: "misconfigured",
      message: expect.stringContaining("OAUTH_KV"),
    });
    expect(await statusWith(KEY, "/instances", without)).toBe(200);
    expect(await statusWith("alice.00000000:a:b", "/instances", without)).toBe(401);
  });
});

describe("the consent page", () => {
  it("shows who asks for what, and where the answer goes", async () => {
    const { html, status } = await page({ scope: "read" }, { client_name: "Claude" });
    expect(status).toBe(200);
    expect(html).toContain("<strong>Claude</strong>");
    expect(html).toContain("nobody has checked it");
    expect(html).toMatch(/Access is sent to: <strong>localhost<\/strong>/);
    expect(html).toContain("on your own computer");
    expect(html.match(/value="(read|operate|admin)" checked/g)).toEqual(['value="read" checked']);
    expect(html).toContain('name="viewport"');
  });

  it("takes what a client says about itself as text", async () => {
    const { html } = await page({}, { client_name: `<script>alert(1)</script>"'\u202e${"long ".repeat(100)}` });
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toContain("\u202e");
    expect(html).not.toContain("long ".repeat(30));
  });

  it("can't be framed, runs nothing, and sends its form nowhere else", async () => {
    const { headers } = await page();
    const csp = headers.get("content-security-policy") ?? "";
    expect(csp).toMatch(
      /^default-src 'none'; style-src 'nonce-[\w-]+'; form-action 'self' http:\/\/localhost:7777; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cache-control")).toBe("no-store");
    const cookie = headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^__Host-.*; Secure; HttpOnly; SameSite=Lax/);
  });

  it("can't be answered by another page, in another browser, or twice", async () => {
    const asked = await page();
    const foreign = await decide(server, asked, { key: KEY }, { origin: "https://evil.example" });
    expect(foreign.status).toBe(403);
    for (const stolen of [
      { handle: asked.handle, cookie: "" },
      { handle: asked.handle, cookie: (await page()).cookie },
      { handle: "", cookie: asked.cookie },
      { handle: "x".repeat(43), cookie: asked.cookie },
    ]) {
      const response = await decide(server, stolen, { key: KEY });
      expect(response.status).toBe(400);
      expect(response.headers.has("location")).toBe(false);
    }
    expect(comesBackWith(await decide(server, asked, { key: KEY })).code).toBeTruthy();
    const again = await decide(server, asked, { key: KEY });
    expect(again.status).toBe(400);
    expect(again.headers.has("location")).toBe(false);
  });

  it("asks again after a wrong key, and counts it as a failed login", async () => {
    const counted: string[] = [];
    const counting = keyed(KEYS, { LOGIN_RATE: { limit: async ({ key }) => ({ success: counted.push(key) > 0 }) } });
    const clientId = await register(counting);
    const pkce = await newPkce();
    const first = await pageOf(await counting.request(authorizePath(clientId, pkce)));
    counted.length = 0;
    const wrong = await decide(counting, first, { key: newKey(), scopes: ["read"] });
    expect(wrong.status).toBe(403);
    expect(counted).toHaveLength(1);
    const second = await pageOf(wrong);
    expect(second.html).toContain("no access key of this server");
    expect(second.html.match(/value="\w+" checked/g)).toEqual(['value="read" checked']);
    expect(comesBackWith(await decide(counting, second, { key: KEY }))).toMatchObject({ state: "the-state" });
  });

  it("sends a refusal back to the client, without a key", async () => {
    const asked = await page();
    expect(comesBackWith(await decide(server, asked, { decision: "deny" }))).toMatchObject({
      error: "access_denied",
      state: "the-state",
      iss: "http://localhost",
    });
  });
});

describe("what a login may", () => {
  it.each([
    { what: "is what was ticked, and no more", key: KEY, scopes: ["read"], granted: "read" },
    {
      what: "can be more than was asked for",
      key: KEY,
      scopes: ["read", "operate", "admin"],
      granted: "read operate admin",
    },
    { what: "is never more than the key may", key: READER, scopes: ["read", "operate", "admin"], granted: "read" },
  ])("$what", async ({ key, scopes, granted }) => {
    const { tokens } = await login(server, key, { scopes });
    expect(tokens.scope).toBe(granted);
    const spawned = await server.tool(tokens.access_token, "spawn_claude", { name: "Ada" });
    expect(spawned.success).toBe(granted.includes("operate"));
    const limited = await server.tool(tokens.access_token, "set_limits", { max_cost: 100 });
    expect(limited.success).toBe(granted.includes("admin"));
  });

  it.each([
    { scopes: ["operate"], key: READER },
    { scopes: [], key: KEY },
    { scopes: ["root", "offline_access"], key: KEY },
  ])("can't be nothing: $scopes", async ({ scopes, key }) => {
    const response = await decide(server, await page(), { key, scopes });
    expect(response.status).toBe(403);
    expect((await pageOf(response)).html).toMatch(/Tick what it may do|This key may only: read/);
  });

  it("is for the key's tenant", async () => {
    const { tokens } = await login(server, KEY);
    const id = String((await server.tool(tokens.access_token, "spawn_claude", { name: "Ada" })).instance_id);
    expect(await statusWith(KEY, `/instances/${id}`)).toBe(200);
    expect(await statusWith(READER, `/instances/${id}`)).toBe(404);
  });

  it("is for this address of the server alone", async () => {
    const { tokens } = await login(server, KEY);
    const elsewhere = keyed(KEYS, {}, "http://127.0.0.1:8001");
    expect(await statusWith(tokens.access_token, "/instances", elsewhere)).toBe(401);
  });

  it("ends with its key", async () => {
    const { tokens, clientId } = await login(server, KEY);
    const without = keyed({ alice: newKey() });
    expect(await statusWith(tokens.access_token, "/instances", without)).toBe(401);
    const moved = keyed({ carol: KEY });
    expect(await statusWith(tokens.access_token, "/instances", moved)).toBe(401);
    const narrowed = keyed({ alice: { key: KEY, scopes: ["read"] } });
    expect((await narrowed.tool(tokens.access_token, "spawn_claude", { name: "Ada" })).error).toBe("forbidden");
    expect(await (await refresh(without, clientId, tokens.refresh_token)).json()).toMatchObject({
      error: "invalid_grant",
    });
    expect(await statusWith(tokens.access_token)).toBe(401);
  });

  it("of one person doesn't end when another logs in with the same key", async () => {
    const clientId = await register(server);
    const tokens: string[] = [];
    for (let i = 0; i < 2; i++) {
      const pkce = await newPkce();
      const asked = await pageOf(await server.request(authorizePath(clientId, pkce)));
      const { code = "" } = comesBackWith(await decide(server, asked, { key: KEY }));
      const form = { grant_type: "authorization_code", code, client_id: clientId, code_verifier: pkce.verifier };
      const response = await postToken(server, { ...form, redirect_uri: CALLBACK });
      tokens.push(((await response.json()) as Tokens).access_token);
    }
    for (const token of tokens) expect(await statusWith(token)).toBe(200);
  });
});

describe("an attacker", () => {
  it("with a used code gets nothing, and the login that used it ends", async () => {
    const { tokens, exchange } = await login(server, KEY);
    const replayed = await postToken(server, exchange);
    expect(replayed.status).toBe(400);
    expect(await replayed.json()).toMatchObject({ error: "invalid_grant" });
    expect(await statusWith(tokens.access_token)).toBe(401);
  });

  it.each([
    ["no verifier", { code_verifier: "" }, "invalid_request"],
    ["another verifier", { code_verifier: "v".repeat(64) }, "invalid_grant"],
    ["another redirect", { redirect_uri: "http://localhost:7777/other" }, "invalid_grant"],
    ["another client", { client_id: "another" }, "invalid_client"],
  ])("with a stolen code and %s gets nothing", async (_what, change, error) => {
    const { clientId, pkce, ...asked } = await page();
    const { code = "" } = comesBackWith(await decide(server, asked, { key: KEY }));
    const response = await postToken(server, {
      grant_type: "authorization_code",
      code,
      client_id: clientId,
      redirect_uri: CALLBACK,
      code_verifier: pkce.verifier,
      ...change,
    });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.headers.has("x-refusal-reason")).toBe(false);
    expect(await response.json()).toMatchObject({ error });
  });

  it("who uses a stolen refresh token loses it as soon as its owner comes", async () => {
    const { tokens, clientId } = await login(server, KEY);
    const owners = (await (await refresh(server, clientId, tokens.refresh_token)).json()) as Tokens;
    // The library forgives one repetition: an answer can get lost.
    const thiefs = (await (await refresh(server, clientId, tokens.refresh_token)).json()) as Tokens;
    expect(await statusWith(thiefs.access_token)).toBe(200);
    expect((await refresh(server, clientId, owners.refresh_token)).status).toBe(400);
    for (const token of [tokens, owners, thiefs]) {
      expect(await statusWith(token.access_token)).toBe(401);
      expect((await refresh(server, clientId, token.refresh_token)).status).toBe(400);
    }
  });

  it("who uses an old refresh token ends the login", async () => {
    const { tokens, clientId } = await login(server, KEY);
    const second = (await (await refresh(server, clientId, tokens.refresh_token)).json()) as Tokens;
    const third = (await (await refresh(server, clientId, second.refresh_token)).json()) as Tokens;
    expect(await statusWith(third.access_token)).toBe(200);
    expect((await refresh(server, clientId, tokens.refresh_token)).status).toBe(400);
    expect(await statusWith(third.access_token)).toBe(401);
  });

  it.each([
    "http://localhost:7777/other",
    "https://evil.example/callback",
    "http://evil.example/callback",
    "http://localhost.evil.example:7777/callback",
    "javascript:alert(1)",
    "data:text/html,x",
    "",
  ])("can't have the code sent to %j", async (redirect_uri) => {
    const { status, headers, html } = await page({ redirect_uri });
    expect(status).toBe(400);
    expect(headers.has("location")).toBe(false);
    expect(html).not.toContain('name="handle"');
    expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  });

  it.each([
    [{ code_challenge: null, code_challenge_method: null }],
    [{ code_challenge_method: "plain" }],
    [{ response_type: "token" }],
    [{ response_type: null }],
    [{ resource: "https://evil.example/mcp" }],
  ])("can't ask for less than a code with S256 for this server: %j", async (change) => {
    const clientId = await register(server);
    const response = await server.request(authorizePath(clientId, await newPkce(), change));
    expect(comesBackWith(response)).toMatchObject({ error: expect.any(String), state: "the-state" });
  });

  it("can't do without PKCE as a client with a secret either", async () => {
    const clientId = await register(server, { token_endpoint_auth_method: "client_secret_post" });
    const change = { code_challenge: null, code_challenge_method: null };
    const response = await server.request(authorizePath(clientId, await newPkce(), change));
    expect(comesBackWith(response)).toMatchObject({ error: "invalid_request" });
  });

  it("can't register or open pages for ever", async () => {
    const full = keyed(KEYS, { LOGIN_RATE: { limit: async ({ key }) => ({ success: !key.startsWith("open ") }) } });
    const body = JSON.stringify({ redirect_uris: [CALLBACK] });
    for (const response of [
      await full.request("/oauth/register", { method: "POST", headers: JSON_TYPE, body }),
      await full.request("/authorize?client_id=x"),
    ]) {
      expect(response.status).toBe(429);
      expect(response.headers.get("retry-after")).toBe("60");
    }
    expect(await statusWith(KEY, "/instances", full)).toBe(200);
  });

  const long = "x".repeat(600);
  it.each<Record<string, string>>([
    { client_id: long },
    { client_id: `https://${long}.example/x` },
    { client_id: "nobody" },
    { client_id: "" },
    { scope: long.repeat(10) },
    { state: "\u0000\ud800" },
    { resource: "::" },
    { redirect_uri: long },
  ])("finds no way to break the page: %#", async (change) => {
    const clientId = await register(server);
    const response = await server.request(authorizePath(clientId, await newPkce(), change));
    expect(response.status).toBeLessThan(500);
    await response.body?.cancel();
  });

  it.each<Record<string, string>>([
    {},
    { grant_type: "authorization_code", code: long, client_id: "x" },
    { grant_type: "authorization_code", code: `a:b:${long}` },
    { grant_type: "refresh_token", refresh_token: `${long}:b:c` },
    { grant_type: "refresh_token", refresh_token: "::" },
    { grant_type: "password", username: "alice", password: KEY },
    { grant_type: "client_credentials" },
    { grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", subject_token: "a:b:c" },
    { token: long },
    { token: `${long}:${long}:${long}` },
    { client_id: long, token: "a:b:c" },
    { client_id: `https://${long}/x`, token: "a:b:c" },
  ])("finds no way to break the token endpoint: %#", async (form) => {
    const clientId = await register(server);
    const response = await postToken(server, { client_id: clientId, ...form });
    expect(response.status).toBeLessThan(500);
    expect(JSON.stringify(await response.text())).not.toContain("access_token");
  });

  it("finds no way to break the registration", async () => {
    for (const body of ["", "[]", "null", '{"redirect_uris": "x"}', '{"redirect_uris": [7]}', "x".repeat(70_000)]) {
      const response = await server.request("/oauth/register", { method: "POST", headers: JSON_TYPE, body });
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
    }
    const script = JSON.stringify({ redirect_uris: ["javascript:alert(1)"] });
    const refused = await server.request("/oauth/register", { method: "POST", headers: JSON_TYPE, body: script });
    expect(refused.status).toBe(400);
  });

  it("finds nothing in the store that opens a door", async () => {
    const { tokens, code } = await login(server, KEY);
    const kv = env.OAUTH_KV as KVNamespace;
    const { keys } = await kv.list();
    expect(keys.length).toBeGreaterThan(0);
    for (const { name } of keys) {
      const stored = name + ((await kv.get(name)) ?? "");
      for (const secret of [KEY, tokens.access_token, tokens.refresh_token, code]) expect(stored).not.toContain(secret);
    }
  });
});

describe("a client that is named by a document", () => {
  /** Serves documents in the place of the internet. */
  function internet(documents: Record<string, unknown>): string[] {
    const asked: string[] = [];
    const real = globalThis.fetch;
    const spy = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const url = new Request(input as Request, init as RequestInit).url;
      asked.push(url);
      const found = documents[url];
      return found ? Response.json(found) : real(input as Request, init as RequestInit);
    });
    onTestFinished(() => spy.mockRestore());
    return asked;
  }

  const client = "https://claude.example.com/oauth/client";
  const document = {
    client_id: client,
    client_name: "Claude",
    redirect_uris: [CALLBACK, "https://claude.example.com/callback"],
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  };

  it("is shown with its domain, and gets in", async () => {
    internet({ [client]: document });
    const pkce = await newPkce();
    const asked = await pageOf(await server.request(authorizePath(client, pkce)));
    expect(asked.html).toContain("Published by <strong>claude.example.com</strong>");
    const { code = "" } = comesBackWith(await decide(server, asked, { key: KEY }));
    const form = { grant_type: "authorization_code", code, client_id: client, code_verifier: pkce.verifier };
    const response = await postToken(server, { ...form, redirect_uri: CALLBACK });
    const tokens = (await response.json()) as Tokens;
    expect(await statusWith(tokens.access_token)).toBe(200);
    expect((await refresh(server, client, tokens.refresh_token)).status).toBe(200);
  });

  it("can't speak for another, or have the code sent anywhere else", async () => {
    const other = "https://evil.example.com/client";
    internet({ [other]: document, [client]: document });
    for (const [id, change] of [
      [other, {}],
      [client, { redirect_uri: "https://evil.example.com/callback" }],
      ["https://claude.example.com/nothing", {}],
    ] as const) {
      const response = await server.request(authorizePath(id, await newPkce(), change));
      expect(response.status).toBe(400);
      expect(response.headers.has("location")).toBe(false);
    }
  });

  it.each([
    "https://localhost/client",
    "https://127.0.0.1/client",
    "https://10.0.0.1/client",
    "https://[::1]/client",
    "https://169.254.169.254/latest/meta-data",
    "https://0x7f000001/client",
    "https://2130706433/client",
    "https://metadata.google.internal/client",
    "https://printer.local/client",
    "https://intranet/client",
    "https://claude.example.com:8443/client",
    "https://user@claude.example.com/client",
    "http://claude.example.com/client",
    "file:///etc/passwd",
  ])("%s is not even asked for", async (id) => {
    const asked = internet({ [id]: document });
    const onPage = await server.request(authorizePath(id, await newPkce()));
    expect(onPage.status).toBe(400);
    const atToken = await postToken(server, { grant_type: "refresh_token", refresh_token: "a:b:c", client_id: id });
    expect(atToken.status).toBe(401);
    expect(asked).toEqual([]);
  });
});
