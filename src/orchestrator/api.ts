/**
 * What an Orchestrator can be asked, by the tools and by the instances of its tenant.
 */
import type { Effort } from "../claude/models.ts";
import type { Answer } from "../errors.ts";
import type { InstanceSpec, Report, ToolDefinition } from "../instance/spec.ts";
import type { RoleId } from "../roles/index.ts";
import type { StatusRecord } from "./status.ts";

export interface SpawnRequest {
  tenant: string;
  name: string;
  role: RoleId;
  /** A full model id. */
  model: string;
  effort: Effort | null;
  max_tokens: number;
  system: string;
  tools: ToolDefinition[];
  parent_instance_id: string | null;
  initial_prompt: string | null;
  idempotency?: Idempotency;
}

/** A caller's key with a hash of the whole request: the same pair gives the same answer and one effect. */
export interface Idempotency {
  key: string;
  body_hash: string;
}

export interface SpawnReceipt {
  instance_id: string;
  /** The initial prompt's message. */
  message_id: string | null;
}

export interface ListQuery {
  state?: string;
  role?: string;
  parent_id?: string;
  limit: number;
  /** The last instance id of the page before. */
  cursor?: string;
}

export interface InstancePage {
  instances: StatusRecord[];
  total_instances: number;
  active_instances: number;
  total_tokens_used: number;
  /** nano-USD */
  total_cost_nano: number;
  next_cursor: string | null;
}

export interface TerminateRequest {
  instance_id: string;
  force: boolean;
  reason: string;
  idempotency?: Idempotency;
}

/** Instances that this call ended, children before their parents; empty when all were ended before. */
export interface TerminateReceipt {
  terminated: string[];
}

export interface Birth {
  spec: InstanceSpec;
  initial_prompt: string | null;
  /** It was terminated before its first use. */
  ended: boolean;
}

export interface OrchestratorApi {
  spawn(request: SpawnRequest): Promise<Answer<SpawnReceipt>>;
  /** What an instance copies on its first use; null when this tenant has no such instance. */
  birthOf(instanceId: string): Promise<Birth | null>;
  status(instanceId: string): Promise<StatusRecord | null>;
  list(query: ListQuery): Promise<InstancePage>;
  terminate(request: TerminateRequest): Promise<Answer<TerminateReceipt>>;
  /** Before a model call. */
  admit(report: Report): Promise<void>;
  /** After a model call, and whenever an instance has something to tell. */
  report(report: Report): Promise<void>;
}
