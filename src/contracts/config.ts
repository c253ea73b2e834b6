/**
 * The configuration as everything takes it. `config/` makes it of the deployment's variables.
 */
import type { LogLevel } from "../platform/log.ts";
import type { Collector } from "../platform/otlp.ts";
import type { WorkspaceLimits } from "./workspace.ts";

/** Durations carry their unit in the name. Where a number comes from is said in the README's configuration table. */
export interface Config {
  /** Null: the simulator answers. */
  anthropicApiKey: string | null;
  /** Keys that tenants bring themselves, by tenant. */
  tenantApiKeys: ReadonlyMap<string, string>;
  anthropicBaseUrl: string | null;
  aiGatewayToken: string | null;
  /** Name or id of the model of an instance whose spawn names none. */
  defaultModel: string;
  /** Instances of a tenant that are not terminated. */
  maxInstances: number;
  /** Fresh tokens of each instance alone, unless it has an explicit limit of its own. */
  maxTokensPerInstance: number;
  /** Of a tenant, in USD. */
  maxTotalCost: number;
  /** After so long without work an instance ends. */
  instanceTimeoutMinutes: number;
  /** How long a terminated instance's conversation is kept. */
  retentionDays: number;
  /** How far below a top-level instance its descendants may go. */
  maxDepth: number;
  /** Active children of one instance; null: only `maxInstances` bounds them. */
  maxChildren: number | null;
  /** Model calls in one turn. */
  maxSteps: number;
  /** Tokens of a model call from which on the conversation is summarized before the next one. */
  compactAtTokens: number;
  /** Silence of the Messages API, pings included, after which a call counts as stalled. */
  modelIdleTimeoutMs: number;
  /** Pause between two pieces of a simulated answer, so that it can be watched as it comes. */
  simulatorChunkDelayMs: number;
  workspacePrefix: string;
  /** Of one workspace: bytes in all, files and folders, bytes of one file. */
  workspace: WorkspaceLimits;
  /** Whether a child has a workspace of its own unless its spawn says otherwise. */
  enableIsolation: boolean;
  /** Of secrets at rest; null: each tenant has a key of its own. */
  encryptionKey: string | null;
  /** Whether remote MCP servers may be at private addresses. */
  allowPrivateMcp: boolean;
  logLevel: LogLevel;
  /** How long events stay in the Orchestrator before they are moved to R2. */
  eventRetentionDays: number;
  /** Where the traces of turns go; null: nowhere. */
  collector: Collector | null;
  /** Whether webhooks may go to private and local addresses, and over plain http. */
  allowPrivateWebhooks: boolean;
}
