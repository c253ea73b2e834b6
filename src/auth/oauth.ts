/**
 * OAuth 2.1: this server as its own authorization server. A token acts for an access key, with the key's scopes at most, and ends
 * with the key: one that is removed from `ACCESS_KEYS` invalidates its tokens.
 */
import { GrantType, OAuthAuthorizationServer, OAuthError } from "@cloudflare/workers-oauth-provider";
import type { Principal } from "../contracts/principal.ts";
import { allows, isScope, SCOPES, type Scope } from "../contracts/scopes.ts";
import type { AccessConfig } from "./access-config.ts";
import { type GrantProps, TOKEN_SHAPE } from "./grants.ts";
import type { AccessKey } from "./keys.ts";
import { recordLogin } from "./login-audit.ts";

/** The scopes that a client gets unless the key's owner decides otherwise: to work, but not to change what binds the tenant. */
export const DEFAULT_SCOPES: readonly Scope[] = ["read", "operate"];

/** A login that is not used for so long ends. */
const IDLE_SECONDS = 30 * 24 * 60 * 60;

/** The header with the library's reason for a refusal. Removed before the response leaves the server. */
export const REFUSAL_REASON = "x-refusal-reason";

/** The server's public origin: `PUBLIC_URL`, since behind a proxy the request does not show it. */
export function publicOrigin(url: URL, access: AccessConfig): string {
  if (access.publicUrl !== null && new URL(access.publicUrl).hostname === url.hostname) return access.publicUrl;
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return loopback ? url.origin : new URL(`https://${url.host}`).origin;
}

/** The request as it was sent, before any proxy. */
export function atPublicOrigin(request: Request, access: AccessConfig): Request {
  const url = new URL(request.url);
  const origin = publicOrigin(url, access);
  return origin === url.origin ? request : new Request(origin + url.pathname + url.search, request);
}

const servers = new WeakMap<AccessConfig, Map<string, OAuthAuthorizationServer<Env>>>();
/** Origins come from requests, so a caller can make up many. */
const MAX_CACHED_SERVERS = 16;

/** The authorization server at an origin. */
export function authorizationServer(origin: string, access: AccessConfig): OAuthAuthorizationServer<Env> {
  const known = servers.get(access) ?? new Map<string, OAuthAuthorizationServer<Env>>();
  servers.set(access, known);
  const found = known.get(origin);
  if (found) return found;
  if (known.size >= MAX_CACHED_SERVERS) known.clear();
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
      const key = keyOfGrant(owner, access);
      // The library ends the grant for this.
      if (!key)
        throw new OAuthError("invalid_grant", { description: "The access key of this login is no longer valid." });
      // A refresh continues a login that is on record.
      if (grantType !== GrantType.AUTHORIZATION_CODE) return;
      await recordLogin(env, { ...owner, grantId, clientId }, scopesWithinKey(requestedScope, key));
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

/** The resources that tokens are issued for. A token for either is good for the whole API. */
function resourcesOf(origin: string): string[] {
  return [`${origin}/mcp`, `${origin}/`];
}

/** The principal of a token; null when it is not, or no longer, valid at this origin. */
export async function principalOfToken(
  token: string,
  origin: string,
  env: Env,
  access: AccessConfig,
): Promise<Principal | null> {
  if (!env.OAUTH_KV || !TOKEN_SHAPE.test(token)) return null;
  const found = await authorizationServer(origin, access).getOAuthApi(env).unwrapToken<GrantProps>(token);
  if (!found || ![found.audience].flat().some((one) => one !== undefined && resourcesOf(origin).includes(one)))
    return null;
  const key = keyOfGrant(found.grant.props, access);
  if (!key) return null;
  return {
    tenant: key.tenant,
    instance: null,
    scopes: scopesWithinKey(found.scope, key),
    keyId: key.id,
    client: found.grant.clientId,
  };
}

function keyOfGrant(props: GrantProps, access: AccessConfig): AccessKey | undefined {
  return access.accessKeys?.find(({ id, tenant }) => id === props.keyId && tenant === props.tenant);
}

/** Those of the requested scopes that the key has. */
export function scopesWithinKey(asked: readonly string[], key: AccessKey): Scope[] {
  return asked.filter((scope): scope is Scope => isScope(scope) && allows(key.scopes, scope));
}

/** Protected resource metadata (RFC 9728): which authorization server issues tokens for this resource. */
export function resourceMetadata(origin: string, resource: string) {
  return {
    resource,
    authorization_servers: [origin],
    scopes_supported: DEFAULT_SCOPES,
    bearer_methods_supported: ["header"],
    resource_name: "Madrox",
  };
}

/** `WWW-Authenticate` of a 401 or 403: where to log in, and which scopes to ask for. `missing` are asked for beside the default. */
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
    `scope="${[...new Set([...DEFAULT_SCOPES, ...missing])].join(" ")}"`,
    `resource_metadata="${metadata}"`,
  ].join(", ");
}
