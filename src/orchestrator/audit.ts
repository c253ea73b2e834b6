/**
 * Who did what: calls that change something, as events of the one log.
 */

import { isInstanceId, isJobId, parseMessageId, parseQuestionId } from "../ids.ts";
import type { InstanceEvent } from "../instance/spec.ts";
import type { AuditedCall } from "./api.ts";
import { logEvent } from "./events.ts";

/** Puts a call on record. */
export function recordCall(storage: DurableObjectStorage, call: AuditedCall): void {
  const { tool, subject, outcome, principal, at, duration_ms } = call;
  const about = subject === null ? "" : ownerOf(subject);
  const data: InstanceEvent["data"] = {
    tool,
    outcome,
    actor: actorOf(principal),
    ...(principal.client === null ? {} : { client: principal.client }),
    ...(subject === null || subject === about ? {} : { subject }),
    duration_ms,
  };
  storage.transactionSync(() => logEvent(storage.sql, about, 0, at, "audit.called", data));
}

/** `instance:<id>`, `key:<key id>`, or `local`: whoever works on the machine of a server without access keys. */
function actorOf({ instance, keyId }: AuditedCall["principal"]): string {
  if (instance !== null) return `instance:${instance}`;
  return keyId === null ? "local" : `key:${keyId}`;
}

/** The instance or job that an id belongs to; empty for what belongs to the tenant. */
function ownerOf(id: string): string {
  if (isInstanceId(id) || isJobId(id)) return id;
  return parseQuestionId(id)?.instanceId ?? parseMessageId(id)?.instanceId ?? "";
}
