/**
 * Where a change comes from: what it takes along of the call that asks for it, to the object that makes it.
 */

import type { Idempotency } from "../platform/idempotency-key.ts";
import type { AuditedCall } from "./audited-call.ts";

/** What a change takes along of the call that asks for it. A repeated call, by its key, changes nothing and leaves no record. */
export interface Origin {
  idempotency?: Idempotency | undefined;
  audit?: AuditedCall | undefined;
}

/** The part of a context that goes along. */
export function originOf({ idempotency, audit }: Origin): Origin {
  return { idempotency, audit };
}
