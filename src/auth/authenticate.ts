/**
 * From a request to whoever sent it.
 */

import { LOCAL, type Principal } from "../contracts/principal.ts";
import { MadroxError } from "../platform/errors.ts";
import type { AccessConfig } from "./access.ts";
import { findKey } from "./keys.ts";
import { ownerOfToken, publicOrigin } from "./oauth.ts";
import { countCall, countFailure } from "./rates.ts";

/** Whether the request brings a key at all, right or wrong. */
export function bringsKey(request: Request): boolean {
  return request.headers.has("authorization");
}

/**
 * Who calls: the owner of the access key, or of the OAuth token, in `Authorization: Bearer`; without access keys, whoever got
 * past the guard. A right key is never held up by how often others have failed.
 * Throws `unauthorized`, and `limit_reached` for too many failures of an address or too many calls of a key.
 */
export async function authenticate(request: Request, env: Env, access: AccessConfig): Promise<Principal> {
  if (access.accessKeys === null) return LOCAL;
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token === undefined && !bringsKey(request)) {
    throw new MadroxError(
      "unauthorized",
      "This needs an access key: send it as Authorization: Bearer <key>, or log in with OAuth.",
    );
  }
  const principal = token === undefined ? null : await ownerOf(token, request, env, access);
  if (principal === null) {
    await countFailure(request, env.LOGIN_RATE);
    throw new MadroxError(
      "unauthorized",
      "That is no valid access key or token, or no longer one. Send Authorization: Bearer <key>, or log in again.",
    );
  }
  await countCall(principal.keyId ?? principal.tenant, env.KEY_RATE);
  return principal;
}

async function ownerOf(token: string, request: Request, env: Env, access: AccessConfig): Promise<Principal | null> {
  const key = findKey(access.accessKeys ?? [], token);
  if (key) return { tenant: key.tenant, instance: null, scopes: key.scopes, keyId: key.id, client: null };
  return ownerOfToken(token, publicOrigin(new URL(request.url), access), env, access);
}
