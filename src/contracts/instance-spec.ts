/**
 * What the Orchestrator and an instance send each other. Plain data: it crosses Workers RPC and is stored as JSON.
 */
import type { Effort } from "./model-call.ts";
import type { RoleId } from "./role.ts";

/** A tool as the model sees it. Frozen at spawn: a changed tool list would invalidate the conversation's prefix. */
export type ToolDefinition = OwnToolDefinition | ServerToolDefinition;

/** One that the instance runs. */
export interface OwnToolDefinition {
  name: string;
  description: string;
  input_schema: Record<string, unknown>;
}

/** One that the Messages API runs itself, within a model call. */
export interface ServerToolDefinition {
  type: string;
  name: string;
  /** In one model call, at most. */
  max_uses: number;
  max_content_tokens?: number;
}

/** A remote MCP server as it was at spawn. Its token is among the instance's secrets, under the server's name. */
export interface RemoteServer {
  name: string;
  url: string;
  tools: RemoteTool[];
}

export interface RemoteTool {
  /** As the model calls it. */
  name: string;
  /** As its server calls it. */
  remote_name: string;
  /** The server says that calling it twice does no harm. */
  repeatable: boolean;
  /** The server says that it changes nothing. Absent in older specs: then nothing is known. */
  read_only?: boolean;
}

/**
 * What an instance is, decided at spawn and never changed. `system` is the whole system prompt as the model gets it.
 * `v` is the version of this shape: readers bring older ones forward.
 */
export interface InstanceSpec {
  v: 1;
  tenant: string;
  instance_id: string;
  name: string;
  role: RoleId;
  model: string;
  effort: Effort | null;
  /** Output tokens of one model call, at most. */
  max_tokens: number;
  /** Tokens of a model call from which on the conversation is summarized; absent: the server's default. */
  compact_at_tokens?: number;
  system: string;
  tools: ToolDefinition[];
  /** The instance in whose object its files are; null or absent (before there were files): its own. */
  workspace_owner?: string | null;
  parent_instance_id: string | null;
  /** Absent: none. */
  mcp_servers?: RemoteServer[];
  /** Powers, or tools by name, that need leave for every call (`isGuarded`); absent in specs from before there was this. */
  require_approval?: string[];
  /** The `traceparent` of the initial prompt's sender; absent without one. */
  trace?: string;
  /** Whether message 0 is an initial prompt, which the instance takes over with its spec. */
  has_initial_prompt: boolean;
  /** 0 for an instance without a parent. */
  depth: number;
  /** ms since the epoch */
  created_at: number;
}

/**
 * `initializing`: its initial prompt is on the way to it. `waiting`: a turn is open and waits for something (`waiting_for`).
 * `error`: its last message failed; it takes messages all the same. `terminated` is the only final state.
 */
export const INSTANCE_STATES = ["initializing", "idle", "busy", "waiting", "paused", "error", "terminated"] as const;
export type InstanceState = (typeof INSTANCE_STATES)[number];

/** Tokens as the API counts them. `input` leaves out what was read from or written to the prompt cache. */
export interface TokenCounts {
  input: number;
  output: number;
  cache_read: number;
  cache_write: number;
}

/** The newest calls, `LAST_CALLS` at most, and how many of them failed. */
export interface CallCounts {
  calls: number;
  failed: number;
}

/** The counts that made an instance unhealthy, and since when (ms since the epoch). */
export interface Unhealthy extends CallCounts {
  since: number;
}

/** An instance's own account of itself, cumulative since its spawn. Money in nano-USD, times in ms since the epoch. */
export interface Snapshot {
  state: Exclude<InstanceState, "terminated">;
  waiting_for: { reason: string; until: number | null } | null;
  queue_depth: number;
  /** Messages that reached a final state. */
  completed_count: number;
  error_count: number;
  /** Model calls that were made, retries included. */
  request_count: number;
  /** Sum over completed messages, from the start of the turn to its end. */
  response_ms_total: number;
  tokens: TokenCounts;
  last_activity: number;
  error_message: string | null;
  simulated: boolean;
  /** Null: healthy. */
  unhealthy: Unhealthy | null;
}

/** A question that waits for its answer. `to`: an instance's id, or null for a person. Times in ms since the epoch. */
export interface OpenQuestion {
  question_id: string;
  kind: "question" | "approval";
  to: string | null;
  text: string;
  /** Empty: any answer. */
  options: string[];
  asked_at: number;
  expires_at: number | null;
}

/** Something that happened to an instance, for the tenant's event log. Never content. */
export interface InstanceEvent {
  /** Ascending in the instance, without gaps. */
  seq: number;
  at: number;
  kind: string;
  data: Record<string, string | number | boolean | null>;
}

/**
 * What an instance pushes to the registry. `seq` ascends with every report: the registry drops an older one that
 * arrives late. Events that it has already logged are skipped, so a report may be repeated.
 */
export interface Report {
  instance_id: string;
  seq: number;
  snapshot: Snapshot;
  /** What the instance has asked and what is not answered yet. */
  questions: OpenQuestion[];
  events: InstanceEvent[];
}
