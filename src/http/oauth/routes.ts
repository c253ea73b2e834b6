/**
 * The OAuth door: discovery, registration, tokens, and the page on which a key's owner lets a client in. The library keeps
 * the protocol; what is decided here is who may consent, and what becomes of a refresh token that comes twice.
 */
import {
  AuthorizationError,
  type AuthRequest,
  authorizationErrorRedirect,
  CimdFetchError,
  type OAuthHelpers,
} from "@cloudflare/workers-oauth-provider";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { AccessConfig } from "../../auth/access.ts";
import { type ConsentQuestion, consentPage, refusalPage } from "../../auth/consent-page.ts";
import { findKey } from "../../auth/keys.ts";
import {
  asPublic,
  authorizationServer,
  publicOrigin,
  REFUSAL_REASON,
  resourceMetadata,
  TOKEN_SHAPE,
  USUAL_SCOPES,
  withinKey,
} from "../../auth/oauth.ts";
import { type GrantProps, grantNamedBy, recordEnd, recordStep, stepOf, userIdOf } from "../../auth/oauth-record.ts";
import { countFailure, countOpenCall } from "../../auth/rates.ts";
import { isScope, type Scope } from "../../contracts/scopes.ts";
import { MadroxError } from "../../platform/errors.ts";
import { createLog } from "../../platform/log.ts";
import type { RestEnv } from "../hono-env.ts";

type Visit = Context<RestEnv>;

/** Bytes of a form or a registration, at most. */
const MAX_FORM_BYTES = 64 * 1024;
/** Characters of a client's id that is no URL: the store takes no longer keys. */
const MAX_CLIENT_ID = 400;

const small = bodyLimit({
  maxSize: MAX_FORM_BYTES,
  onError: () => {
    throw new MadroxError("too_large", `The request is larger than ${MAX_FORM_BYTES} bytes.`, {
      limit_bytes: MAX_FORM_BYTES,
    });
  },
});

export function createOAuth(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  for (const path of ["", "/mcp"]) {
    app.get(`/.well-known/oauth-protected-resource${path}`, (c) => {
      const origin = originFor(c);
      return c.json(resourceMetadata(origin, `${origin}${path || "/"}`));
    });
  }

  app.get("/.well-known/oauth-authorization-server", (c) => serverFor(c).fetch(publicly(c), c.env, executionOf(c)));

  app.post("/oauth/register", small, async (c) => {
    await countOpenCall(c.req.raw, c.env.LOGIN_RATE);
    const response = await serverFor(c).fetch(publicly(c), c.env, executionOf(c));
    return withoutReason(response);
  });

  app.post("/oauth/token", small, async (c) => {
    const form = await formOf(c);
    const unusable = problemIn(form);
    if (!unusable) await recordRevocation(form, c);
    const coming = unusable ? null : await grantNamedBy(text(form, "code"), c.env);
    const response = unusable ?? (await serverFor(c).fetch(publicly(c), c.env, executionOf(c)));
    if (response.ok) return response;
    const reason = response.headers.get(REFUSAL_REASON);
    createLog(c.get("config").logLevel).info("oauth.refused", { reason });
    // The library has ended the grant for it.
    if (reason === "code_replayed" && coming) await recordEnd(c.env, coming);
    if (reason === "refresh_token_mismatch") await revokeGrantOf(text(form, "refresh_token"), c);
    await countFailure(c.req.raw, c.env.LOGIN_RATE);
    return withoutReason(response);
  });

  app.get("/authorize", async (c) => {
    await countOpenCall(c.req.raw, c.env.LOGIN_RATE);
    const oauth = helpersFor(c);
    try {
      assertClientId(new URL(c.req.url).searchParams.get("client_id") ?? "");
      const request = await oauth.parseAuthRequest(publicly(c));
      // The library lets clients with a secret go without; here a code alone is never enough.
      if (!request.codeChallenge)
        return redirect(authorizationErrorRedirect(request, "invalid_request", "PKCE with S256 is required"));
      return await ask(c, oauth, request, null);
    } catch (error) {
      return refuse(error);
    }
  });

  app.post("/authorize", small, async (c) => {
    const oauth = helpersFor(c);
    const form = await formOf(c);
    const handle = text(form, "handle");
    try {
      if (text(form, "decision") !== "allow") {
        const denied = await oauth.denyConsent(c.req.raw, handle);
        return new Response(null, { status: 302, headers: denied.headers });
      }
      const scope = form.getAll("scope").map(String).filter(isScope);
      const { request, headers } = await oauth.approveConsent(c.req.raw, handle);
      const key = findKey(c.get("access").accessKeys ?? [], text(form, "key").trim());
      if (!key) {
        await countFailure(c.req.raw, c.env.LOGIN_RATE);
        return await ask(c, oauth, request, "That is no access key of this server.", scope);
      }
      const granted = withinKey(scope, key);
      const owner: GrantProps = { tenant: key.tenant, keyId: key.id };
      const step = stepOf("oauth_grant", owner, request.clientId, granted);
      await recordStep(c.env, key.tenant, step, null, granted.length === 0 ? "forbidden" : "ok");
      if (granted.length === 0) {
        const problem = scope.length === 0 ? "Tick what it may do." : `This key may only: ${key.scopes.join(", ")}.`;
        return await ask(c, oauth, request, problem, scope);
      }
      const { redirectTo } = await oauth.completeAuthorization({
        request,
        userId: userIdOf(owner),
        metadata: {},
        scope: [...granted, ...request.scope.filter((one) => one === "offline_access")],
        props: owner,
        // A key may be shared, and a hosted client has one id for everybody: one login must not end another's.
        revokeExistingGrants: false,
      });
      createLog(c.get("config").logLevel).info("oauth.granted", {
        tenant: key.tenant,
        key: key.id,
        scope: granted.join(" "),
      });
      headers.set("location", redirectTo);
      return new Response(null, { status: 302, headers });
    } catch (error) {
      return refuse(error);
    }
  });

  return app;
}

/** The page, tied to this browser by a cookie and a handle that works once. */
async function ask(
  c: Visit,
  oauth: OAuthHelpers,
  request: AuthRequest,
  problem: string | null,
  ticked?: readonly Scope[],
): Promise<Response> {
  const client = await oauth.describeConsent(request);
  const { handle, headers } = await oauth.beginConsent(request);
  const asked = request.scope.filter(isScope);
  const question: ConsentQuestion = {
    clientName: client.clientName,
    clientDomain: client.clientDomain ?? null,
    redirectHost: client.redirectHost,
    redirectIsLocal: client.redirectIsLoopback,
    serverHost: new URL(originFor(c)).host,
    scopes: ticked ?? (asked.length > 0 ? asked : USUAL_SCOPES),
    handle,
    problem,
  };
  // Browsers hold the redirect that follows a form to form-action as well.
  const { protocol, origin } = new URL(request.redirectUri);
  // A policy can't name an IPv6 address.
  const target = origin === "null" || origin.includes("[") ? protocol : origin;
  return pageResponse((nonce) => consentPage(question, nonce), problem === null ? 200 : 403, headers, target);
}

/** Back to the client where the library knows that the address is the client's; else a page that says why. */
async function refuse(error: unknown): Promise<Response> {
  if (error instanceof AuthorizationError && error.redirectTo) return redirect(error.redirectTo);
  if (!(error instanceof AuthorizationError || error instanceof CimdFetchError)) throw error;
  const message =
    error instanceof AuthorizationError
      ? error.description
      : "The client could not be verified: the document that its id names can't be used.";
  return pageResponse((nonce) => refusalPage(message, nonce), 400, new Headers(), null);
}

async function pageResponse(
  render: (nonce: string) => ReturnType<typeof consentPage>,
  status: number,
  headers: Headers,
  formTarget: string | null,
): Promise<Response> {
  const nonce = crypto.randomUUID();
  const page = await render(nonce);
  headers.set("content-type", "text/html; charset=utf-8");
  headers.set("cache-control", "no-store");
  headers.set(
    "content-security-policy",
    `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'self'${formTarget ? ` ${formTarget}` : ""}; base-uri 'none'; frame-ancestors 'none'`,
  );
  // With no-referrer a browser would send the form with Origin: null.
  headers.set("referrer-policy", "same-origin");
  return new Response(String(page), { status, headers });
}

/**
 * A refresh token that is none of the two that a grant may have now, but names the grant: it was one once, or a thief's copy
 * is ahead of its owner's. Nobody can tell who is who, so the grant ends for both.
 */
async function revokeGrantOf(token: string, c: Visit): Promise<void> {
  const grant = await grantNamedBy(token, c.env);
  if (!grant) return;
  await recordEnd(c.env, grant);
  await helpersFor(c).revokeGrant(grant.grantId, grant.userId);
}

/** A form without a grant type asks to revoke its token (RFC 7009), which only the client of the grant can do. */
async function recordRevocation(form: FormData, c: Visit): Promise<void> {
  if (form.has("grant_type") || !form.has("token")) return;
  const grant = await grantNamedBy(text(form, "token"), c.env);
  if (!grant || grant.clientId !== (text(form, "client_id") || basicUserOf(c.req.raw))) return;
  await recordStep(c.env, grant.tenant, stepOf("oauth_revoke", grant, grant.clientId), grant.grantId);
}

/** The client that names itself in the header, as RFC 6749, 2.3.1 has it. */
function basicUserOf(request: Request): string | null {
  const [, encoded] = /^basic +([\w+/=]+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (encoded === undefined) return null;
  try {
    return decodeURIComponent(atob(encoded).split(":")[0] ?? "");
  } catch {
    return null;
  }
}

/** What the library would ask its store with, and the store would choke on. */
function problemIn(form: FormData): Response | null {
  const refuse = (error: string, description: string, status = 400) =>
    Response.json({ error, error_description: description }, { status, headers: { "cache-control": "no-store" } });
  const clientId = text(form, "client_id");
  if (clientId && !isPlausibleClientId(clientId)) return refuse("invalid_client", "Client not found", 401);
  for (const name of ["code", "refresh_token"]) {
    const value = text(form, name);
    if (value && !TOKEN_SHAPE.test(value)) return refuse("invalid_grant", `The ${name} is none of this server`);
  }
  const token = text(form, "token");
  // RFC 7009, 2.2: revoking what is no token succeeds.
  if (token && !form.has("grant_type") && !TOKEN_SHAPE.test(token)) return new Response(null, { status: 200 });
  return null;
}

function assertClientId(clientId: string): void {
  if (!isPlausibleClientId(clientId))
    throw new AuthorizationError("invalid_request", { description: "Invalid client_id" });
}

/** A registered id, or the address of a document on the public internet. */
function isPlausibleClientId(clientId: string): boolean {
  if (!clientId.includes(":")) return clientId.length <= MAX_CLIENT_ID;
  if (clientId.length > 2_000 || !URL.canParse(clientId)) return false;
  const { hostname, port, username } = new URL(clientId);
  const publicName = /^(?!.*\.(local|localhost|internal|home|lan|test|invalid)$)([a-z0-9-]+\.)+[a-z][a-z0-9-]+$/;
  return publicName.test(hostname) && port === "" && username === "";
}

async function formOf(c: Visit): Promise<FormData> {
  try {
    return await c.req.raw.clone().formData();
  } catch {
    throw new MadroxError("invalid_input", "The body has to be a form: application/x-www-form-urlencoded.");
  }
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}

function serverFor(c: Visit) {
  return authorizationServer(originFor(c), accessWithKeys(c));
}

function helpersFor(c: Visit): OAuthHelpers {
  return serverFor(c).getOAuthApi(c.env);
}

function originFor(c: Visit): string {
  return publicOrigin(new URL(c.req.url), accessWithKeys(c));
}

/** Without access keys nobody could consent, and no client should try. */
function accessWithKeys(c: Visit): AccessConfig {
  const access = c.get("access");
  if (access.accessKeys === null) {
    throw new MadroxError(
      "not_found",
      "This server has no ACCESS_KEYS, so there is no login. It needs none on this machine.",
    );
  }
  if (!c.env.OAUTH_KV) {
    throw new MadroxError("misconfigured", "OAuth needs the KV namespace OAUTH_KV: bind it, or use access keys alone.");
  }
  return access;
}

function publicly(c: Visit): Request {
  return asPublic(c.req.raw, c.get("access"));
}

function executionOf(c: Visit): ExecutionContext {
  return c.executionCtx as ExecutionContext;
}

function redirect(location: string): Response {
  return new Response(null, { status: 302, headers: { location, "cache-control": "no-store" } });
}

function withoutReason(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.delete(REFUSAL_REASON);
  return new Response(response.body, { status: response.status, headers });
}
