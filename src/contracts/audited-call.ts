/**
 * Who did what: the record of a call that changes something. It is an event, `audit.called`, that the object which the call
 * changes writes in the transaction of the change, so that there is never one without the other. An instance's and a job's reach
 * the tenant's log with their next report. A call that was refused has changed nothing, and is put on record by itself.
 */
import type { Principal } from "./principal.ts";

/** The kind of the event. */
export const CALLED = "audit.called";

/** A call on its way to what it changes. */
export interface AuditedCall {
  /** A tool of the catalogue, or the name of what a route does that has none. */
  tool: string;
  /**
   * `instance:<id>`, `key:<key id>`, or `local`: whoever works on the machine of a server without access keys. `server`: it did
   * that itself.
   */
  actor: string;
  /** The OAuth client behind the key, or null. */
  client: string | null;
  /** What a login may do, with spaces between. */
  scopes?: string;
}

export function auditOf({ instance, keyId, client }: Principal, tool: string): AuditedCall {
  return {
    tool,
    actor: instance === null ? (keyId === null ? "local" : `key:${keyId}`) : `instance:${instance}`,
    client,
  };
}

/** The event's data. `outcome`: `ok`, or an error code. `subject`: what it was about, where the event does not say that itself. */
export function recordOf(
  { tool, actor, client, scopes }: AuditedCall,
  subject: string | null = null,
  outcome = "ok",
): Record<string, string> {
  return {
    tool,
    outcome,
    actor,
    ...(client === null ? {} : { client }),
    ...(scopes === undefined ? {} : { scopes }),
    ...(subject === null ? {} : { subject }),
  };
}
