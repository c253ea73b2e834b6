/** The authorization server as a request finds it. */
import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { AccessConfig } from "../../auth/access-config.ts";
import { atPublicOrigin, authorizationServer, publicOrigin, REFUSAL_REASON } from "../../auth/oauth.ts";
import { MadroxError } from "../../platform/errors.ts";
import type { RouteCall } from "../route.ts";

/** The parts of a call that the authorization server needs. */
export type OAuthCall = Pick<RouteCall, "request" | "url" | "env" | "execution" | "access" | "config">;

/** Bytes of a form or a registration, at most. */
export const MAX_FORM_BYTES = 64 * 1024;
/** Characters of a client's id that is no URL: the store takes no longer keys. */
const MAX_CLIENT_ID = 400;

/** Hands a request to the library. */
export function respond(call: OAuthCall, request = call.request): Promise<Response> {
  return serverFor(call).fetch(atPublicOrigin(request, call.access), call.env, call.execution());
}

export function helpersFor(call: OAuthCall): OAuthHelpers {
  return serverFor(call).getOAuthApi(call.env);
}

function serverFor(call: OAuthCall) {
  return authorizationServer(originFor(call), accessWithKeys(call));
}

/** Where clients, grants and tokens are stored. */
export function storeOf(call: OAuthCall): KVNamespace {
  accessWithKeys(call);
  return call.env.OAUTH_KV as KVNamespace;
}

export function originFor(call: OAuthCall): string {
  return publicOrigin(call.url, accessWithKeys(call));
}

/** Throws `not_found` without access keys: there is no login then, and no client should try one. */
function accessWithKeys({ access, env }: OAuthCall): AccessConfig {
  if (access.accessKeys === null) {
    throw new MadroxError(
      "not_found",
      "This server has no ACCESS_KEYS, so there is no login. It needs none on this machine.",
    );
  }
  if (!env.OAUTH_KV) {
    throw new MadroxError("misconfigured", "OAuth needs the KV namespace OAUTH_KV: bind it, or use access keys alone.");
  }
  return access;
}

/** The response without the library's reason for it, which is not for clients. */
export function withoutReason(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.delete(REFUSAL_REASON);
  return new Response(response.body, { status: response.status, headers });
}

/** The form in a request, which can be read again. Throws `invalid_input` for any other body. */
export async function formOf(request: Request): Promise<FormData> {
  try {
    return await request.clone().formData();
  } catch {
    throw new MadroxError("invalid_input", "The body has to be a form: application/x-www-form-urlencoded.");
  }
}

/** A field of a form; empty where it is missing or a file. */
export function fieldOf(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}

/** Whether a text can be a registered id, or the address of a document on the public internet. */
export function isPlausibleClientId(clientId: string): boolean {
  if (!clientId.includes(":")) return clientId.length <= MAX_CLIENT_ID;
  if (clientId.length > 2_000 || !URL.canParse(clientId)) return false;
  const { hostname, port, username } = new URL(clientId);
  const publicName = /^(?!.*\.(local|localhost|internal|home|lan|test|invalid)$)([a-z0-9-]+\.)+[a-z][a-z0-9-]+$/;
  return publicName.test(hostname) && port === "" && username === "";
}
