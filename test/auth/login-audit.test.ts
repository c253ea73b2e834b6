/**
 * What is on record of logins: who let which client in, and when that ended.
 */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
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
import { statusWith } from "../support/oauth-server.ts";

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
