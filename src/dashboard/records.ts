/**
 * What the server's answers hold, as far as the page reads them. Times ISO 8601, money USD, tokens fresh ones.
 */

export type InstanceState = "initializing" | "idle" | "busy" | "waiting" | "paused" | "error" | "terminated";

/** A row of `GET /tree`, and of the live socket's frames. */
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
}

export interface TreeNode extends TreeRow {
  children: TreeNode[];
}

export interface TreeAnswer {
  tree: TreeNode[];
  count: number;
  truncated: boolean;
}

export interface LogEvent {
  seq: number;
  at: string;
  instance_id: string;
  kind: string;
  data: Record<string, string | number | boolean | null>;
}

export interface LiveFrame {
  type: "events";
  restart: boolean;
  events: LogEvent[];
  instances: TreeRow[];
  last_seq: number;
}

export interface Question {
  question_id: string;
  instance_id: string;
  name: string;
  kind: "question" | "approval";
  to: string;
  question: string;
  options: string[];
  asked_at: string;
  expires_at: string | null;
}

/** The answer of `GET /instances/{id}`, its `status`. */
export interface InstanceRecord {
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
  tokens: { input: number; output: number; cache_read: number; cache_write: number };
  total_cost: number;
  unsettled_cost: number;
  error_count: number;
  success_rate: number;
  response_time_ms: { mean: number; p50: number; p95: number };
  errors: Record<string, number>;
  health_score: number;
  uptime_seconds: number;
  queue_depth: number;
  simulated: boolean;
  open_questions: number;
  questions?: Question[];
  limits: {
    max_cost: number | null;
    max_total_tokens: number | null;
    timeout_minutes: number | null;
    max_turn_minutes: number | null;
  };
  remaining: { cost: number; cost_scope: string; tokens: number; tokens_scope: string };
  waiting_for?: { reason: string; until: string | null };
  termination_reason?: string;
  error_message?: string;
}

export type OutputType = "user" | "response" | "progress" | "tool_call" | "tool_result" | "notice";

export interface OutputRow {
  message_index: number;
  message_id: string;
  type: OutputType;
  content: string;
  timestamp: string;
  tokens_used: number;
  cost: number;
}

export interface FileEntry {
  path: string;
  type: "file" | "folder";
  size: number;
  modified_at: string;
  media_type: string;
}

export interface SpendSeries {
  key: string;
  label: string;
  cost: number;
  unsettled_cost: number;
  tokens: number;
  calls: number;
  points: number[];
}

export interface SpendAnswer {
  bucket: "hour" | "day";
  by: string;
  starts: string[];
  series: SpendSeries[];
  cost: number;
  spent: number;
  limits: { max_cost: number; max_total_tokens: number | null; max_instances: number };
  remaining: { cost: number };
}

export interface JobRecord {
  job_id: string;
  type: string;
  status: string;
  coordinator_id: string;
  participant_ids: string[];
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  steps_done: number;
  steps_total: number;
  cost: number;
  max_cost: number | null;
}

export interface JobStep {
  step: string;
  kind: string;
  instance_id: string;
  name: string;
  status: "queued" | "running" | "completed" | "failed" | "skipped";
  message_ids: string[];
  depends_on: string[];
  started_at: string | null;
  finished_at: string | null;
  cost: number;
  error?: { code: string; message: string };
}

export interface Vote {
  instance_id: string;
  choice: string;
  confidence: number;
  reasons: string;
}

export interface JobResult {
  summary: string | null;
  outputs?: { step: string; instance_id: string; name: string; text: string }[];
  decision?: string | null;
  tally?: Record<string, number>;
  quorum_met?: boolean;
  threshold_met?: boolean;
  votes?: Vote[];
  minority?: { choice: string; votes: number; instance_ids: string[]; reasons: string[] }[];
  rounds?: number;
}

export interface JobStatus {
  job_id: string;
  type: string;
  status: string;
  coordinator_id: string;
  participant_ids: string[];
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  steps: JobStep[];
  result?: JobResult;
  failure?: { code: string; message: string };
  cost: number;
  max_cost: number | null;
}
