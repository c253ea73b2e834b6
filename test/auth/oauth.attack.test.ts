/**
 * OAuth for somebody who shouldn't get in.
 */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { keyed } from "../support/keyed.ts";
import {
  authorizePath,
  CALLBACK,
  comesBackWith,
  decide,
  JSON_TYPE,
  login,
  newPkce,
  postToken,
  refresh,
  register,
  type Tokens,
} from "../support/oauth.ts";
import { KEY, KEYS, page, server, statusWith } from "../support/oauth-server.ts";

const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };

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

  it.each([
    [
      "a registration",
      "/oauth/register",
      JSON_TYPE,
      [`{"redirect_uris":["${CALLBACK}"],"client_name":"`, Uint8Array.of(0xff), '"}'],
    ],
    ["a form with raw bytes", "/oauth/token", FORM_TYPE, ["grant_type=", Uint8Array.of(0xff)]],
    ["a form with percent signs", "/oauth/token", FORM_TYPE, ["grant_type=%ff"]],
    ["an answer to the consent page", "/authorize", FORM_TYPE, ["decision=%C0%AF"]],
  ] as const)("can't send what is no UTF-8 in %s", async (_what, path, headers, parts) => {
    const body = await new Blob([...parts]).arrayBuffer();
    const refused = await server.request(path, { method: "POST", headers, body });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("UTF-8");
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
