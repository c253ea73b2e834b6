/** Whether a request may reach a route, and as whom. */
import type { AccessConfig } from "../auth/access-config.ts";
import { authenticate, hasCredentials } from "../auth/authenticate.ts";
import type { Principal } from "../contracts/principal.ts";
import { assertScope, SCOPES } from "../contracts/scopes.ts";
import { assertHost, assertOrigin, hostProblem } from "./origin-check.ts";
import type { Access } from "./route.ts";

/** Every other scope includes it. */
const LEAST_SCOPE = SCOPES[0];

/**
 * The principal that a route's `access` lets in; null for a caller without a key, where it takes those. Throws `forbidden`,
 * `unauthorized`, and `limit_reached` for one that fails or calls too often.
 */
export async function admit(
  request: Request,
  env: Env,
  config: AccessConfig,
  access: Access,
): Promise<Principal | null> {
  assertOrigin(request, config);
  const open = config.accessKeys === null && hostProblem(request, config) === null;
  if (access === "optional" && !hasCredentials(request) && !open) return null;
  assertHost(request, config);
  if (access === "anyone") return null;
  const principal = await authenticate(request, env, config);
  // A token may have no scope of this server, such as one that asked for offline_access alone: it opens nothing.
  assertScope(principal.scopes, access === "optional" || access === "caller" ? LEAST_SCOPE : access);
  return principal;
}
