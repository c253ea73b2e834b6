/** From a request to its principal. */
import { LOCAL, type Principal } from "../contracts/principal.ts";
import { MadroxError } from "../platform/errors.ts";
import type { AccessConfig } from "./access-config.ts";
import { findKey } from "./keys.ts";
import { principalOfToken, publicOrigin } from "./oauth.ts";
import { countCalls, countFailure } from "./rate-limits.ts";

/** Whether the request has credentials at all, right or wrong. */
export function hasCredentials(request: Request): boolean {
  return request.headers.has("authorization");
}

/**
 * The principal behind the access key or OAuth token in `Authorization: Bearer`. A server without access keys takes every request
 * that passed host validation as the local principal. A valid key is never limited by the failures of others.
 * Throws `unauthorized`, and `limit_reached` for too many failures per address or too many calls per key.
 */
export async function authenticate(request: Request, env: Env, access: AccessConfig): Promise<Principal> {
  if (access.accessKeys === null) return LOCAL;
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token === undefined && !hasCredentials(request)) {
    throw new MadroxError(
      "unauthorized",
      "This needs an access key: send it as Authorization: Bearer <key>, or log in with OAuth.",
    );
  }
  const principal = token === undefined ? null : await principalOf(token, request, env, access);
  if (principal === null) {
    await countFailure(request, env.LOGIN_RATE);
    throw new MadroxError(
      "unauthorized",
      "That is no valid access key or token, or no longer one. Send Authorization: Bearer <key>, or log in again.",
    );
  }
  await countCalls(principal, env.KEY_RATE);
  return principal;
}

async function principalOf(token: string, request: Request, env: Env, access: AccessConfig): Promise<Principal | null> {
  const key = findKey(access.accessKeys ?? [], token);
  if (key) return { tenant: key.tenant, instance: null, scopes: key.scopes, keyId: key.id, client: null };
  return principalOfToken(token, publicOrigin(new URL(request.url), access), env, access);
}
