/**
 * Logins on record: what a key's owner grants to a client, each login with a code, and what ends a grant. They live in a store
 * without transactions, so the record comes first: what can't be put on record is not done.
 */
import { type AuditedCall, auditOf } from "../contracts/audited-call.ts";
import type { Scope } from "../contracts/scopes.ts";
import { orchestratorOf } from "../contracts/stubs.ts";

/** What a grant remembers of the key that it stands for. */
export interface GrantProps {
  tenant: string;
  keyId: string;
}

/** `oauth_grant`: consent was given. `oauth_login`: a client came with the code of it. `oauth_revoke`: a grant or a token ended. */
export type LoginStep = "oauth_grant" | "oauth_login" | "oauth_revoke";

export function stepOf(
  step: LoginStep,
  { tenant, keyId }: GrantProps,
  client: string,
  scopes?: readonly Scope[],
): AuditedCall {
  const principal = { tenant, keyId, client, instance: null, scopes: [] };
  return { ...auditOf(principal, step), ...(scopes ? { scopes: scopes.join(" ") } : {}) };
}

/** Puts a step on record in the tenant's log. `grantId` null: it has none yet. Rejects when the log can't be reached. */
export async function recordStep(
  env: Env,
  tenant: string,
  step: AuditedCall,
  grantId: string | null,
  outcome = "ok",
): Promise<void> {
  await orchestratorOf(env, tenant).record(step, grantId, outcome);
}

/** A grant that a token or a code names. */
export interface NamedGrant extends GrantProps {
  grantId: string;
  userId: string;
  clientId: string;
}

/** Whoever a grant is for, as the library's users are named here. */
export function userIdOf({ tenant, keyId }: GrantProps): string {
  return `${tenant}.${keyId}`;
}

/**
 * The grant that a text in the form of a token names, if there is one: whether the token was ever any good is not looked at.
 * The library has no question for one grant, so this reads its store, whose keys are those of the pinned version.
 */
export async function grantNamedBy(token: string, env: Env): Promise<NamedGrant | null> {
  const [userId, grantId] = token.split(":");
  if (!userId || !grantId) return null;
  const grant = await env.OAUTH_KV?.get<{ clientId: string }>(`grant:${userId}:${grantId}`, "json");
  const [tenant, keyId] = userId.split(".");
  if (!grant || !tenant || !keyId) return null;
  return { tenant, keyId, grantId, userId, clientId: grant.clientId };
}

/** The server ends a grant by itself: its key is gone, or what works once came twice, and nobody can tell who is who. */
export async function recordEnd(env: Env, grant: Omit<NamedGrant, "userId">): Promise<void> {
  const step = { ...stepOf("oauth_revoke", grant, grant.clientId), actor: "server" };
  await recordStep(env, grant.tenant, step, grant.grantId);
}
