import { SCOPES, type Scope } from "./scopes.ts";

/**
 * Who calls. Every tool gets it, and nothing is done for anybody else.
 */
export interface Principal {
  /** Whose Orchestrator, instances and files. */
  tenant: string;
  /** The instance that calls through its own tools; null for a caller from outside. */
  instance: string | null;
  scopes: readonly Scope[];
  /** Names the access key behind the call, for logs, and tells nothing of it. Null where no key is asked for. */
  keyId: string | null;
  /** The OAuth client that calls for the key's owner. Null for a caller that has the key itself. */
  client: string | null;
}

/** The tenant of a server without access keys. */
export const DEFAULT_TENANT = "default";

/** Whoever works on the machine that the server runs on, where no access keys are set. */
export const LOCAL: Principal = {
  tenant: DEFAULT_TENANT,
  instance: null,
  scopes: SCOPES,
  keyId: null,
  client: null,
};
