/**
 * Tokens: for a code, for a refresh token, and revoked. The library keeps the protocol; decided here is what goes on record, and
 * what becomes of a refresh token that comes twice.
 */
import { REFUSAL_REASON, TOKEN_SHAPE } from "../../auth/oauth.ts";
import { grantNamedBy, recordEnd, recordStep, stepOf } from "../../auth/oauth-record.ts";
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
    const { env, request, body } = call;
    const form = await formOf(body);
    const unusable = problemIn(form);
    if (!unusable) await recordRevocation(form, call);
    const coming = unusable ? null : await grantNamedBy(fieldOf(form, "code"), env);
    const response = unusable ?? (await respond(call, body));
    if (response.ok) return response;
    const reason = response.headers.get(REFUSAL_REASON);
    createLog(call.config.logLevel).info("oauth.refused", { reason });
    // The library has ended the grant for it.
    if (reason === "code_replayed" && coming) await recordEnd(env, coming);
    if (reason === "refresh_token_mismatch") await revokeGrantOf(fieldOf(form, "refresh_token"), call);
    await countFailure(request, env.LOGIN_RATE);
    return withoutReason(response);
  },
});

/**
 * A refresh token that is none of the two that a grant may have now, but names the grant: it was one once, or a thief's copy
 * is ahead of its owner's. Nobody can tell who is who, so the grant ends for both.
 */
async function revokeGrantOf(token: string, call: OAuthCall): Promise<void> {
  const grant = await grantNamedBy(token, call.env);
  if (!grant) return;
  await recordEnd(call.env, grant);
  await helpersFor(call).revokeGrant(grant.grantId, grant.userId);
}

/** A form without a grant type asks to revoke its token (RFC 7009), which only the client of the grant can do. */
async function recordRevocation(form: FormData, { env, request }: OAuthCall): Promise<void> {
  if (form.has("grant_type") || !form.has("token")) return;
  const grant = await grantNamedBy(fieldOf(form, "token"), env);
  if (!grant || grant.clientId !== (fieldOf(form, "client_id") || basicUserOf(request))) return;
  await recordStep(env, grant.tenant, stepOf("oauth_revoke", grant, grant.clientId), grant.grantId);
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
