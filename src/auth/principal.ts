/**
 * Who calls. Every tool gets it, and nothing is done for anybody else.
 */
export interface Principal {
  /** Whose Orchestrator, instances and files. */
  tenant: string;
  /** The instance that calls through its own tools; null for a caller from outside. */
  instance: string | null;
}

/** The only tenant until access control tells them apart. */
export const DEFAULT_TENANT = "default";
