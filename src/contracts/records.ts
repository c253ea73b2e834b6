/**
 * What an Orchestrator knows, in the shapes in which it is told: shapes alone, so that whoever reads them, the dashboard too, takes
 * nothing else along. Where nothing else is said, times are ISO 8601 and money is USD.
 */

import type { Failure } from "../platform/errors.ts";
import type { InstanceState, TokenCounts } from "./instance-spec.ts";

/** Times are ISO 8601, durations as named, money USD. */
export interface StatusRecord {
  instance_id: string;
  name: string;
  role: string;
  model: string;
  state: InstanceState;
  parent_instance_id: string | null;
  created_at: string;
  last_activity: string;
  request_count: number;
  total_tokens_used: number;
  tokens: TokenCounts;
  /** Settled and unsettled. */
  total_cost: number;
  /** Of calls that broke off: they may have been billed at up to this much, and are counted so. */
  unsettled_cost: number;
  error_count: number;
  success_rate: number;
  avg_response_time_ms: number;
  response_time_ms: { mean: number; p50: number; p95: number };
  errors: Record<string, number>;
  health_score: number;
  health: Health;
  uptime_seconds: number;
  queue_depth: number;
  workspace_prefix: string;
  simulated: boolean;
  open_questions: number;
  /** The open questions themselves, in the record of one instance. */
  questions?: QuestionRecord[];
  limits?: Record<string, number | null>;
  remaining?: Record<string, number | string>;
  waiting_for?: { reason: string; until: string | null };
  termination_reason?: string;
  error_message?: string;
}

/** Whether the instance's model calls get through of late; unhealthy since when, and by which figures (see instance/reporting/health.ts). */
export type Health =
  | { state: "healthy" }
  | { state: "unhealthy"; since: string; last_calls: { calls: number; failed: number } };

export interface InstancePage {
  instances: StatusRecord[];
  total_instances: number;
  active_instances: number;
  total_tokens_used: number;
  /** nano-USD */
  total_cost_nano: number;
  next_cursor: string | null;
}

/** An open question. Times ISO 8601. */
export interface QuestionRecord {
  question_id: string;
  instance_id: string;
  name: string;
  kind: string;
  to: string;
  question: string;
  options: string[];
  asked_at: string;
  expires_at: string | null;
}

/**
 * `hard`: no call can pass a cap. `soft`: somebody in the subtree has web tools, whose results are paid for and are known only
 * afterwards, so the last call before a cap may pass it.
 */
export type Hardness = "hard" | "soft";

/** What is spent and what is left, for an answer about an instance. Money in USD, tokens fresh. Null: no limit. */
export interface Funds {
  spent: { cost: number; unsettled_cost: number; tokens: number };
  /** The least that is left in any scope that binds the instance, and which. */
  remaining: { cost: number; cost_scope: string; tokens: number; tokens_scope: string; cap: Hardness };
}

/**
 * One instance in the tree. Money in USD; `subtree_cost` is of the instance and everything below it, and so is `max_cost`, its
 * own cap (null: none). `tokens` are the fresh tokens that count against `max_total_tokens`.
 */
export interface TreeRow {
  instance_id: string;
  parent_instance_id: string | null;
  name: string;
  role: string;
  model: string;
  state: InstanceState;
  depth: number;
  cost: number;
  subtree_cost: number;
  max_cost: number | null;
  tokens: number;
  max_total_tokens: number;
  queue_depth: number;
  waiting_for?: string;
  open_questions?: number;
  simulated?: true;
}

export interface TreeNode extends TreeRow {
  children: TreeNode[];
}

export interface TreeAnswer {
  roots: TreeNode[];
  count: number;
  /** There are more, further down. */
  truncated: boolean;
}

export interface TenantEvent {
  seq: number;
  at: string;
  instance_id: string;
  kind: string;
  data: Record<string, unknown>;
}

export interface EventPage {
  events: TenantEvent[];
  /** The newest sequence of the log, whether or not it matches the query. */
  last_seq: number;
}

/** `instances`: the present rows of those that the events concern, and of those above them. `last_seq`: the log's newest. */
export interface LiveFrame {
  type: "events";
  /** The viewer named a sequence that this log never had: what it knows is of another one. */
  restart: boolean;
  events: TenantEvent[];
  instances: TreeRow[];
  last_seq: number;
  /** To be sent back in an `ack`: it shows that the frame was read, and makes room for more. */
  receipt?: string;
}

export interface JobReceipt {
  job_id: string;
  created_at: string;
}

/** What the registry knows of a job. Times ISO 8601, cost USD: settled and unsettled. */
export interface JobRecord {
  job_id: string;
  type: string;
  status: string;
  coordinator_id: string;
  participant_ids: string[];
  created_by: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  steps_done: number;
  steps_total: number;
  cost: number;
  unsettled_cost: number;
  max_cost: number | null;
  error?: Failure;
}

export interface JobPage {
  jobs: JobRecord[];
  next_cursor: string | null;
}

export type SpendBucket = "hour" | "day";

export type SpendKey = "total" | "role" | "model" | "instance";

/** One line of a chart. Money in USD at list prices, `unsettled` included in `cost`; tokens fresh; one point a bucket. */
export interface SpendSeries {
  key: string;
  /** An instance's name; else the key. */
  label: string;
  cost: number;
  unsettled_cost: number;
  tokens: number;
  calls: number;
  points: number[];
}

/** `starts`: ISO 8601, the beginning of each bucket (UTC). Series with the dearest first; `other` is everything beyond them. */
export interface SpendAnswer {
  bucket: SpendBucket;
  by: SpendKey;
  starts: string[];
  series: SpendSeries[];
  cost: number;
  limits: Record<string, number | null>;
  remaining: Record<string, number | string>;
  spent: number;
}

/** Times in ms, money in USD. What is counted never falls, also when somebody is deleted. `buckets` count the messages that took at most so long; null: longer than all. */
export interface Metrics {
  instances_created: number;
  instances_active: number;
  instances_terminated: number;
  messages_completed: number;
  messages_failed: number;
  success_rate: number;
  response_ms: {
    mean: number;
    p50: number;
    p95: number;
    sum: number;
    buckets: { up_to_ms: number | null; count: number }[];
  };
  errors: Record<string, number>;
  tokens: { input: number; output: number; cache_read: number; cache_write: number };
  cost: { settled: number; unsettled: number; reserved: number };
  bound_violations: number;
  /** Of the concurrency limiter: `held` calls are queued for a slot. */
  gate: { running: number; allowed: number; held: number; blocked_until: number };
}

/** A webhook as its owner sees it: without its secret. Times ISO 8601. */
export interface WebhookRecord {
  webhook_id: string;
  url: string;
  events: string[];
  state: "active" | "disabled";
  created_at: string;
  /** Events that were delivered. */
  delivered: number;
  /** Failures of the next delivery, in a row. */
  failures: number;
  /** Of the newest try: a status code, or why there was none. */
  last_status: string | null;
  last_tried_at: string | null;
  next_try_at: string | null;
}

export interface SpendQuery {
  bucket: SpendBucket;
  by: SpendKey;
  /** ms since the epoch; the bucket that holds it is the first one. Null: a day of hours, or a month of days, up to `to`. */
  from: number | null;
  /** ms since the epoch; the bucket that holds it is the last one. Null: now. */
  to: number | null;
}
