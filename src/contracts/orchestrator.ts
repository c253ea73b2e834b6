/**
 * What an Orchestrator can be asked, by the tools and by the instances of its tenant.
 */
import type { Result } from "../platform/errors.ts";
import type { Idempotency } from "../platform/idempotency-key.ts";
import type { Secrets } from "../platform/secrets.ts";
import type { AuditedCall } from "./audited-call.ts";
import type { Erased } from "./instance.ts";
import type { InstanceSpec, RemoteServer, RemoteTool, Report, ToolDefinition } from "./instance-spec.ts";
import type { CoordinationType, ErasedJob, JobOptions, JobReport, JobSpec } from "./job.ts";
import type { Admission, CallOutcome, Effort, ReservationRequest } from "./model-call.ts";
import type {
  EventPage,
  Funds,
  InstancePage,
  JobPage,
  JobReceipt,
  JobRecord,
  Metrics,
  QuestionRecord,
  SpendAnswer,
  SpendQuery,
  StatusRecord,
  TreeAnswer,
  WebhookRecord,
} from "./records.ts";
import type { Origin } from "./request-origin.ts";
import type { RoleId } from "./role.ts";
import type { TeamTemplate } from "./team-template.ts";

export interface SpawnRequest extends Origin {
  tenant: string;
  /** Chosen by the registry unless given, which only the registry does. */
  instance_id?: string;
  name: string;
  role: RoleId;
  /** A full model id. */
  model: string;
  effort: Effort | null;
  max_tokens: number;
  /** Undefined: the server's default. */
  compact_at_tokens?: number | undefined;
  system: string;
  tools: ToolDefinition[];
  mcp_servers?: RemoteServer[];
  /** Kept encrypted. */
  secrets?: Secrets;
  /** Its own unless given. `parent`: the files of its parent, or of whoever that one shares them with. */
  workspace?: "own" | "parent";
  parent_instance_id: string | null;
  initial_prompt: string | null;
  limits: LimitChange;
  /** What a template suggests where `limits` says nothing: lowered to what the spawner has. */
  suggested_limits?: LimitChange;
  /** The instance that spawns it, whose own limits are the most that it can give; null: a caller from outside. */
  spawner?: string | null;
  /** Powers, or tools by name, that need leave for every call (`isGuarded`); those of its parent come on top. */
  require_approval?: string[];
  /** The spawner's `traceparent`, for the initial prompt. */
  trace?: string | null;
}

export interface SpawnReceipt {
  instance_id: string;
  limits: Record<string, number | null>;
  remaining: Record<string, number | string>;
  /** The initial prompt's message. */
  message_id: string | null;
}

/** A supervisor and its members, whose parent it becomes. */
export interface TeamRequest extends Origin {
  supervisor: SpawnRequest;
  members: SpawnRequest[];
  coordination_type: CoordinationType;
  /** The supervisor's first message, after its roster; null: it waits for one. */
  task: string | null;
}

/** Members in the order of the request. */
export interface TeamReceipt {
  supervisor: SpawnReceipt;
  members: SpawnReceipt[];
}

export interface ListQuery {
  state?: string;
  role?: string;
  parent_id?: string;
  /** Only those that have not ended, the newest first. */
  newest?: boolean;
  limit: number;
  /** The last instance id of the page before. */
  cursor?: string;
}

export interface TerminateRequest extends Origin {
  instance_id: string;
  force: boolean;
  reason: string;
}

/** Instances that this call ended, children before their parents; empty when all were ended before. */
export interface TerminateReceipt {
  terminated: string[];
}

/** What binds an instance now, as the registry sees it. Times in ms. */
export interface EffectiveLimits {
  funds: Funds;
  idleTimeoutMs: number;
  maxTurnMs: number | null;
}

export interface EventQuery {
  after: number;
  instance_id: string | null;
  limit: number;
  waitMs: number;
}

export interface PastQuery {
  /** Null: from the newest on. */
  before: number | null;
  instance_id: string | null;
  limit: number;
}

/** Lines of the audit export, each with its line break, and the link that they end with; null: there are none. */
export interface AuditLines {
  lines: string;
  last: ChainLink | null;
}

/** A run of events, or of entries of the ledger (by their ids), in R2. */
export interface ArchivedRun {
  key: string;
  first_seq: number;
  last_seq: number;
}

/** Entries as JSON lines, each with its line break, and the id of the last one; null: there are none. */
export interface LedgerLines {
  lines: string;
  last: number | null;
}

/** What one instance is to another. `stranger`: nobody, or of another tree, branch or tenant. */
export type Relation = "self" | "child" | "descendant" | "parent" | "ancestor" | "sibling" | "stranger";

/** An instance's name and parent, and what others are to it, by their ids. */
export interface Relations {
  name: string;
  parent_id: string | null;
  to: Record<string, Relation>;
}

export interface TreeQuery {
  /** Null: all that have no parent. */
  root_id: string | null;
  /** Levels below the top. */
  depth: number;
  limit: number;
  /** Whether terminated instances are shown below the top. */
  terminated: boolean;
}

export interface QuestionQuery {
  instance_id?: string;
  /** `human`, or the instance that is asked. */
  to?: string;
  limit: number;
}

export interface CoordinateRequest extends Origin {
  tenant: string;
  type: CoordinationType;
  coordinator_id: string;
  participant_ids: string[];
  task: string;
  options: JobOptions;
  /** USD, of all its model calls; null: no cap of its own. */
  max_cost: number | null;
  /** The instance that starts it, or null for a caller from outside. */
  creator: string | null;
  /** The job that the creator's turn works for, whose cap then binds this one too. */
  within_job: string | null;
  /** The starter's `traceparent`, for the job's messages. */
  trace?: string | null;
}

export interface JobQuery {
  state?: string;
  limit: number;
  /** The last job id of the page before. */
  cursor?: string;
}

export interface WebhookRequest {
  url: string;
  events: string[];
  /** Null: one is made. */
  secret: string | null;
}

/** A `wait` that became a task. */
export interface StoredTask {
  task_id: string;
  ids: string[];
  until: "all" | "any" | number;
  created_at: number;
  cancelled: boolean;
}

/** What an instance was given at its spawn: its tools by name, what is known of its remote ones, and what it needs leave for. */
export interface Grants {
  tools: string[];
  remote_tools: RemoteTool[];
  require_approval: string[];
}

export interface FirstUse {
  spec: InstanceSpec;
  initial_prompt: string | null;
  /** Sealed; null: none. */
  secrets: string | null;
  /** It was terminated before its first use. */
  ended: boolean;
  limits: EffectiveLimits;
}

/** Money in USD; null: no limit of its own. */
export interface LimitsAnswer {
  limits: Record<string, number | null>;
  remaining: Record<string, number | string>;
  resumed: string[];
}

export interface OrchestratorApi {
  spawn(request: SpawnRequest): Promise<Result<SpawnReceipt>>;
  /** Spawns a whole team in one transaction, or nothing of it. */
  spawnTeam(request: TeamRequest): Promise<Result<TeamReceipt>>;
  /** The templates that were stored for this tenant, by name. */
  templates(): Promise<TeamTemplate[]>;
  /** `conflict` for another one of that name, `too_large`, `limit_reached`. */
  storeTemplate(template: TeamTemplate, audit?: AuditedCall): Promise<Result<{ created: boolean }>>;
  /** Returns whether there was one. Teams that were made of it stay. */
  deleteTemplate(name: string, audit?: AuditedCall): Promise<boolean>;
  /** What an instance copies on its first use; null when this tenant has no such instance. */
  firstUse(instanceId: string): Promise<FirstUse | null>;
  /** The key of secrets that were sealed without ENCRYPTION_KEY. */
  tenantKey(): Promise<string>;
  status(instanceId: string): Promise<StatusRecord | null>;
  list(query: ListQuery): Promise<InstancePage>;
  terminate(request: TerminateRequest): Promise<Result<TerminateReceipt>>;
  /** Deletes a terminated instance for good: conversation, files, record. `not_found`, `conflict` while it is not terminated. */
  erase(instanceId: string, audit?: AuditedCall): Promise<Result<Erased>>;
  /** Before a model call: leave to make it, now or at a time. `report` is what the registry does not know yet. */
  admit(instanceId: string, report: Report | null, ask: ReservationRequest): Promise<Admission>;
  /** Gives back the leave that an instance asked for and does not need. */
  withdraw(instanceId: string): Promise<void>;
  /** How an instance's call went, when no report takes it along. */
  callEnded(instanceId: string, call: CallOutcome): Promise<void>;
  /** Whenever an instance has something to tell; `call` after a model call, whose slot comes free. */
  report(report: Report, call?: CallOutcome): Promise<EffectiveLimits | null>;
  effectiveLimits(instanceId: string): Promise<EffectiveLimits | null>;
  /** The instance's idle time is over: it is terminated, unless somebody below it is at work; then the time to ask again. */
  expire(instanceId: string): Promise<{ expired: true } | { expired: false; again: number }>;
  /** Changes limits of an instance or (null) the tenant, and lets go on what was paused by them. */
  setLimits(instanceId: string | null, change: LimitChange, origin?: Origin): Promise<Result<LimitsAnswer>>;
  /** Commits a coordinated task; from then on it runs. Refusals as in jobs.ts. */
  coordinate(request: CoordinateRequest): Promise<Result<JobReceipt>>;
  /** What a job copies on its first use; null when this tenant has no such job. */
  jobFirstUse(jobId: string): Promise<JobSpec | null>;
  job(jobId: string): Promise<JobRecord | null>;
  jobs(query: JobQuery): Promise<JobPage>;
  /** Deletes a job that is over for good: steps, result, record. `not_found`, `conflict`. */
  eraseJob(jobId: string, audit?: AuditedCall): Promise<Result<ErasedJob>>;
  /** Whenever a job has something to tell. */
  reportJob(report: JobReport): Promise<void>;
  metrics(): Promise<Metrics>;
  /** What these instances were given, in their order; null for one that there is not. It never changes. */
  grants(instanceIds: readonly string[]): Promise<(Grants | null)[]>;
  /** What other instances are to an instance. `not_found`. */
  relations(instanceId: string, others: readonly string[]): Promise<Result<Relations>>;
  tree(query: TreeQuery): Promise<Result<TreeAnswer>>;
  /** The active children of an instance; with a key, the same ones again. `not_found`. */
  children(instanceId: string, idempotency?: Idempotency): Promise<Result<string[]>>;
  questions(query: QuestionQuery): Promise<QuestionRecord[]>;
  /** What was spent when. `invalid_input` for a window that is too long. */
  spend(query: SpendQuery): Promise<Result<SpendAnswer>>;
  /** Events before a sequence, newest first: the log read backwards. */
  eventsBefore(query: PastQuery): Promise<EventPage>;
  /** Notes that an instance waits for others; `conflict` when that would close a circle. `seq`: its newest event. */
  waitFor(waiter: string, targets: readonly string[], seq: number): Promise<Result<null>>;
  /** Events after `after`, oldest first, as soon as there are any, at the latest after `waitMs`. */
  events(query: EventQuery): Promise<EventPage>;
  /** Puts a call on record that changed nothing in this tenant's objects: refused, or a login. `subject`: the id that it was about. */
  record(call: AuditedCall, subject: string | null, outcome: string): Promise<void>;
  /** The newest link of the event log's hash chain. */
  auditHead(): Promise<ChainLink>;
  /** What comes after a sequence in the audit export, up to another: a segment in R2, or lines. */
  audit(after: number, upTo: number): Promise<ArchivedRun | AuditLines>;
  /** The id of the ledger's newest entry. */
  ledgerEnd(): Promise<number>;
  /** What comes after an id in the ledger, up to another: a segment in R2, or entries as lines. */
  ledger(after: number, upTo: number): Promise<ArchivedRun | LedgerLines>;
  /** Registers a webhook; its secret is in this answer and in no other. `invalid_input`, `limit_reached`. */
  addWebhook(request: WebhookRequest, audit?: AuditedCall): Promise<Result<{ webhook: WebhookRecord; secret: string }>>;
  webhooks(): Promise<WebhookRecord[]>;
  /** Returns whether there was one. */
  removeWebhook(webhookId: string, audit?: AuditedCall): Promise<boolean>;
  /** Keeps what a task of the MCP extension waits for; `taskOf` finds it again, or null. */
  saveTask(task: StoredTask): Promise<void>;
  taskOf(taskId: string): Promise<StoredTask | null>;
  cancelTask(taskId: string): Promise<void>;
}

/** The newest link of a chain: the sequence and the hash of its last line; 0 and `GENESIS` before the first. */
export interface ChainLink {
  seq: number;
  hash: string;
}

/** What a caller may set. Undefined: leave it as it is. */
export interface LimitChange {
  /** USD */
  max_cost?: number | undefined;
  max_total_tokens?: number | undefined;
  timeout_minutes?: number | undefined;
  max_turn_minutes?: number | undefined;
  max_instances?: number | undefined;
}
