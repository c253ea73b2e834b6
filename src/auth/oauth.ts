/**
 * OAuth 2.1: this server as the authorization server for itself. What it hands out stands for an access key, never more than
 * that key may, and ends with it: a key that is taken out of `ACCESS_KEYS` takes its tokens along.
 */
import { GrantType, OAuthAuthorizationServer, OAuthError } from "@cloudflare/workers-oauth-provider";
import type { Principal } from "../contracts/principal.ts";
import { allows, isScope, SCOPES, type Scope } from "../contracts/scopes.ts";
import type { AccessConfig } from "./access.ts";
import type { AccessKey } from "./keys.ts";
import { type GrantProps, recordEnd, recordStep, stepOf } from "./oauth-record.ts";

/** What a client asks for unless somebody decides otherwise: to work, but not to change what binds the tenant. */
export const USUAL_SCOPES: readonly Scope[] = ["read", "operate"];

/** A login that is used keeps; one that is not used for so long ends. */
const IDLE_SECONDS = 30 * 24 * 60 * 60;

/** Tells our own route why the library refused. Never leaves the server. */
export const REFUSAL_REASON = "x-refusal-reason";

/** The form of the library's tokens. What is longer than this can't be one, and would be too long a key for the store. */
export const TOKEN_SHAPE = /^[\w.-]{1,80}:[\w-]{1,64}:[\w-]{1,128}$/;

/** Where the server says that it is: behind a proxy it can't tell from the request. */
export function publicOrigin(url: URL, access: AccessConfig): string {
  if (access.publicUrl !== null && new URL(access.publicUrl).hostname === url.hostname) return access.publicUrl;
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return loopback ? url.origin : new URL(`https://${url.host}`).origin;
}

/** The request as it would be without a proxy in between. */
export function asPublic(request: Request, access: AccessConfig): Request {
  const url = new URL(request.url);
  const origin = publicOrigin(url, access);
  return origin === url.origin ? request : new Request(origin + url.pathname + url.search, request);
}

const servers = new WeakMap<AccessConfig, Map<string, OAuthAuthorizationServer<Env>>>();
/** Origins come from requests; a port makes another one. */
const ORIGINS_KEPT = 16;

/** The authorization server as which this server appears under an origin. */
export function authorizationServer(origin: string, access: AccessConfig): OAuthAuthorizationServer<Env> {
  const known = servers.get(access) ?? new Map<string, OAuthAuthorizationServer<Env>>();
  servers.set(access, known);
  const found = known.get(origin);
  if (found) return found;
  if (known.size >= ORIGINS_KEPT) known.clear();
  const made = new OAuthAuthorizationServer<Env>({
    issuer: origin,
    resources: resourcesOf(origin),
    defaultResource: `${origin}/mcp`,
    scopesSupported: [...SCOPES, "offline_access"],
    clientRegistrationEndpoint: "/oauth/register",
    clientIdMetadataDocumentEnabled: true,
    refreshTokenIdleTTL: IDLE_SECONDS,
    tokenExchangeCallback: async ({ props, env, grantType, grantId, clientId, requestedScope }) => {
      const owner = props as GrantProps;
      const key = keyOf(owner, access);
      if (key) {
        // A refresh is the same login going on.
        if (grantType !== GrantType.AUTHORIZATION_CODE) return;
        const login = stepOf("oauth_login", owner, clientId, withinKey(requestedScope, key));
        return recordStep(env, key.tenant, login, grantId);
      }
      // The library ends the grant for this.
      await recordEnd(env, { ...owner, grantId, clientId });
      throw new OAuthError("invalid_grant", { description: "The access key of this login is no longer valid." });
    },
    onError: ({ code, description, status, headers, internal }) =>
      Response.json(
        { error: code, error_description: description },
        { status, headers: { "cache-control": "no-store", ...headers, [REFUSAL_REASON]: internal.reason } },
      ),
  });
  known.set(origin, made);
  return made;
}

/** Tokens are for the server under either of its MCP addresses, and good for all of its doors. */
function resourcesOf(origin: string): string[] {
  return [`${origin}/mcp`, `${origin}/`];
}

/** Whom a token stands for; null when it is not, or no longer, one of ours for this origin. */
export async function ownerOfToken(
  token: string,
  origin: string,
  env: Env,
  access: AccessConfig,
): Promise<Principal | null> {
  if (!env.OAUTH_KV || !TOKEN_SHAPE.test(token)) return null;
  const found = await authorizationServer(origin, access).getOAuthApi(env).unwrapToken<GrantProps>(token);
  if (!found || ![found.audience].flat().some((one) => one !== undefined && resourcesOf(origin).includes(one)))
    return null;
  const key = keyOf(found.grant.props, access);
  if (!key) return null;
  return {
    tenant: key.tenant,
    instance: null,
    scopes: withinKey(found.scope, key),
    keyId: key.id,
    client: found.grant.clientId,
  };
}

function keyOf(props: GrantProps, access: AccessConfig): AccessKey | undefined {
  return access.accessKeys?.find(({ id, tenant }) => id === props.keyId && tenant === props.tenant);
}

/** Of what was asked for, what the key may. */
export function withinKey(asked: readonly string[], key: AccessKey): Scope[] {
  return asked.filter((scope): scope is Scope => isScope(scope) && allows(key.scopes, scope));
}

/** RFC 9728: which authorization server hands out tokens for this resource. */
export function resourceMetadata(origin: string, resource: string) {
  return {
    resource,
    authorization_servers: [origin],
    scopes_supported: USUAL_SCOPES,
    bearer_methods_supported: ["header"],
    resource_name: "Madrox",
  };
}

/** What a 401 or 403 tells a client: where to log in, and what to ask for. `missing` goes beyond the usual. */
export function challenge(
  url: URL,
  access: AccessConfig,
  error: string | null,
  missing: readonly Scope[] = [],
): string {
  const suffix = url.pathname === "/mcp" ? "/mcp" : "";
  const metadata = `${publicOrigin(url, access)}/.well-known/oauth-protected-resource${suffix}`;
  return [
    'Bearer realm="madrox"',
    ...(error === null ? [] : [`error="${error}"`]),
    `scope="${[...new Set([...USUAL_SCOPES, ...missing])].join(" ")}"`,
    `resource_metadata="${metadata}"`,
  ].join(", ");
}
