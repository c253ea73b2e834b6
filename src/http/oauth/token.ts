/**
 * Tokens: issued for a code or a refresh token, and revoked. The library keeps the protocol. Decided here: what is recorded, namely
 * what has happened and nothing that a request merely claims, and when a refresh token that is presented again ends its grant.
 */
import { grantNamedIn, rememberIssued, TOKEN_SHAPE, wasIssued, watchEnds } from "../../auth/grants.ts";
import { recordEnd } from "../../auth/login-audit.ts";
import { REFUSAL_REASON } from "../../auth/oauth.ts";
import { countFailure } from "../../auth/rate-limits.ts";
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
  respond,
  storeOf,
  withoutReason,
} from "./server.ts";

const token = defineRoute({
  method: "POST",
  path: "/oauth/token",
  access: "anyone",
  // RFC 6749, 3.2: unrecognized parameters are ignored.
  query: ANY_QUERY,
  body: boundedBody("application/x-www-form-urlencoded", MAX_FORM_BYTES),
  operation: null,
  async handle(call) {
    const { env, request, body, config } = call;
    const form = await formOf(body);
    const log = createLog(config.logLevel);
    const { store, ended } = watchEnds(storeOf(call));
    const watched = { ...call, env: { ...env, OAUTH_KV: store } };
    const response = problemIn(form) ?? (await respond(watched, body));
    const reason = response.ok ? null : response.headers.get(REFUSAL_REASON);
    const refreshToken = fieldOf(form, "refresh_token");
    if (reason === "refresh_token_mismatch") await endIfStolen(refreshToken, clientOf(form, request), watched);
    for (const grant of ended()) await recordEnd(env, grant, form.has("grant_type") ? "server" : "client", log);
    if (response.ok) {
      const issued = await issuedIn(response);
      if (issued !== null) await rememberIssued(issued, store);
      return response;
    }
    log.info("oauth.refused", { reason });
    await countFailure(request, env.LOGIN_RATE);
    return withoutReason(response);
  },
});

/**
 * Ends the grant of a refresh token that was replaced long ago, when its own client presents it: then either that client or whoever
 * had the newer ones has stolen it, and it can't be known which (RFC 9700, 4.14.2).
 */
async function endIfStolen(token: string, client: string | null, call: OAuthCall): Promise<void> {
  const store = storeOf(call);
  const grant = await grantNamedIn(token, store);
  if (!grant || grant.clientId !== client || !(await wasIssued(token, store))) return;
  await helpersFor(call).revokeGrant(grant.grantId, grant.userId);
}

/** The refresh token in a token response. */
async function issuedIn(response: Response): Promise<string | null> {
  if (!response.headers.get("content-type")?.startsWith("application/json")) return null;
  const { refresh_token: token } = (await response.clone().json()) as { refresh_token?: unknown };
  return typeof token === "string" ? token : null;
}

/** The client that a request to the token endpoint names: in its form, in Basic credentials, or as the issuer of its assertion. */
function clientOf(form: FormData, request: Request): string | null {
  return fieldOf(form, "client_id") || basicUserOf(request) || issuerOf(fieldOf(form, "client_assertion"));
}

/** The issuer of a JWT, unverified. */
function issuerOf(jwt: string): string | null {
  try {
    const payload = (jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { iss } = JSON.parse(atob(payload)) as { iss?: unknown };
    return typeof iss === "string" ? iss : null;
  } catch {
    return null;
  }
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

/** The refusal of what the library would ask its store with, and the store would choke on. */
function problemIn(form: FormData): Response | null {
  const refuse = (error: string, description: string, status = 400) =>
    Response.json({ error, error_description: description }, { status, headers: { "cache-control": "no-store" } });
  const clientId = fieldOf(form, "client_id");
  if (clientId && !isPlausibleClientId(clientId)) return refuse("invalid_client", "Client not found", 401);
  for (const name of ["code", "refresh_token"]) {
    const value = fieldOf(form, name);
    if (value && !TOKEN_SHAPE.test(value)) return refuse("invalid_grant", `The ${name} is none of this server`);
  }
  const token = fieldOf(form, "token");
  // RFC 7009, 2.2: revoking what is no token succeeds.
  if (token && !form.has("grant_type") && !TOKEN_SHAPE.test(token)) return new Response(null, { status: 200 });
  return null;
}

export const TOKEN_ROUTES: readonly Route[] = [token];
