/** The page on which a key's owner lets a client in: asked for, and answered. */
import {
  AuthorizationError,
  type AuthRequest,
  authorizationErrorRedirect,
  CimdFetchError,
  type OAuthHelpers,
} from "@cloudflare/workers-oauth-provider";
import { type ConsentQuestion, consentPage, refusalPage } from "../../auth/consent-page.ts";
import { type GrantProps, userIdOf } from "../../auth/grants.ts";
import { findKey } from "../../auth/keys.ts";
import { recordConsent } from "../../auth/login-audit.ts";
import { atPublicOrigin, DEFAULT_SCOPES, scopesWithinKey } from "../../auth/oauth.ts";
import { countFailure, countOpenCall } from "../../auth/rate-limits.ts";
import { isScope, type Scope } from "../../contracts/scopes.ts";
import { createLog } from "../../platform/log.ts";
import { ANY_QUERY } from "../query.ts";
import { boundedBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";
import {
  fieldOf,
  formOf,
  helpersFor,
  isPlausibleClientId,
  MAX_FORM_BYTES,
  type OAuthCall,
  originFor,
} from "./server.ts";

const askConsent = defineRoute({
  method: "GET",
  path: "/authorize",
  access: "anyone",
  // RFC 6749, 3.1: unrecognized parameters are ignored.
  query: ANY_QUERY,
  operation: null,
  async handle(call) {
    await countOpenCall(call.request, call.env.LOGIN_RATE);
    const oauth = helpersFor(call);
    try {
      assertClientId(call.query.get("client_id") ?? "");
      const request = await oauth.parseAuthRequest(atPublicOrigin(call.request, call.access));
      // The library lets clients with a secret go without; here a code alone is never enough.
      if (!request.codeChallenge)
        return redirect(authorizationErrorRedirect(request, "invalid_request", "PKCE with S256 is required"));
      return await ask(call, oauth, request, null);
    } catch (error) {
      return refuse(error);
    }
  },
});

const answerConsent = defineRoute({
  method: "POST",
  path: "/authorize",
  access: "anyone",
  query: ANY_QUERY,
  body: boundedBody("application/x-www-form-urlencoded", MAX_FORM_BYTES),
  operation: null,
  async handle(call) {
    const { env, access, config, body } = call;
    const oauth = helpersFor(call);
    const form = await formOf(body);
    const handle = fieldOf(form, "handle");
    try {
      if (fieldOf(form, "decision") !== "allow") {
        const denied = await oauth.denyConsent(body, handle);
        return new Response(null, { status: 302, headers: denied.headers });
      }
      const scope = form.getAll("scope").map(String).filter(isScope);
      const { request, headers } = await oauth.approveConsent(body, handle);
      const key = findKey(access.accessKeys ?? [], fieldOf(form, "key").trim());
      if (!key) {
        await countFailure(call.request, env.LOGIN_RATE);
        return await ask(call, oauth, request, "That is no access key of this server.", scope);
      }
      const granted = scopesWithinKey(scope, key);
      const owner: GrantProps = { tenant: key.tenant, keyId: key.id };
      await recordConsent(env, owner, request.clientId, granted, granted.length === 0 ? "forbidden" : "ok");
      if (granted.length === 0) {
        const problem = scope.length === 0 ? "Tick what it may do." : `This key may only: ${key.scopes.join(", ")}.`;
        return await ask(call, oauth, request, problem, scope);
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
      createLog(config.logLevel).info("oauth.granted", {
        tenant: key.tenant,
        key: key.id,
        scope: granted.join(" "),
      });
      headers.set("location", redirectTo);
      return new Response(null, { status: 302, headers });
    } catch (error) {
      return refuse(error);
    }
  },
});

/** The page, tied to this browser by a cookie and a handle that works once. */
async function ask(
  call: OAuthCall,
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
    serverHost: new URL(originFor(call)).host,
    scopes: ticked ?? (asked.length > 0 ? asked : DEFAULT_SCOPES),
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

function assertClientId(clientId: string): void {
  if (!isPlausibleClientId(clientId))
    throw new AuthorizationError("invalid_request", { description: "Invalid client_id" });
}

function redirect(location: string): Response {
  return new Response(null, { status: 302, headers: { location, "cache-control": "no-store" } });
}

export const CONSENT_ROUTES: readonly Route[] = [askConsent, answerConsent];
