/**
 * Logins in the audit log: what a key's owner grants to a client, each login with a code, and what ends a grant. The grants live in
 * a store without transactions. So what lets somebody in is recorded first, and not done if it can't be recorded; what ends
 * a grant is recorded once it has ended.
 */
import { type AuditedCall, auditOf } from "../contracts/audited-call.ts";
import type { Scope } from "../contracts/scopes.ts";
import { orchestratorOf } from "../contracts/stubs.ts";
import { describe, type Log } from "../platform/log.ts";
import type { Grant, GrantProps } from "./grants.ts";

/** `oauth_grant`: consent was given. `oauth_login`: a client exchanged the code of it. `oauth_revoke`: a grant or a token ended. */
type LoginStep = "oauth_grant" | "oauth_login" | "oauth_revoke";

/** Records that a key's owner consented, before there is a grant. Rejects when the log can't be reached. */
export async function recordConsent(
  env: Env,
  owner: GrantProps,
  client: string,
  scopes: readonly Scope[],
  outcome: "ok" | "forbidden",
): Promise<void> {
  await orchestratorOf(env, owner.tenant).record(entryOf("oauth_grant", owner, client, scopes), null, outcome);
}

/** Records that a client logs in, before it gets its tokens. Rejects when the log can't be reached. */
export async function recordLogin(env: Env, grant: Omit<Grant, "userId">, scopes: readonly Scope[]): Promise<void> {
  const entry = entryOf("oauth_login", grant, grant.clientId, scopes);
  await orchestratorOf(env, grant.tenant).record(entry, grant.grantId, "ok");
}

/**
 * Records that a grant, or a token of it, has ended: by its client's wish, or by the server, because its key is gone or what works
 * once came twice. Never throws: the log says that the record is missing.
 */
export async function recordEnd(env: Env, grant: Grant, by: "client" | "server", log: Log): Promise<void> {
  const entry = entryOf("oauth_revoke", grant, grant.clientId);
  const orchestrator = orchestratorOf(env, grant.tenant);
  const record = () =>
    orchestrator.record(by === "server" ? { ...entry, actor: "server" } : entry, grant.grantId, "ok");
  try {
    await record().catch(record);
  } catch (error) {
    log.error("audit.missing", { tool: entry.tool, outcome: "ok", error: describe(error) });
  }
}

function entryOf(
  step: LoginStep,
  { tenant, keyId }: GrantProps,
  client: string,
  scopes?: readonly Scope[],
): AuditedCall {
  const principal = { tenant, keyId, client, instance: null, scopes: [] };
  return { ...auditOf(principal, step), ...(scopes ? { scopes: scopes.join(" ") } : {}) };
}
