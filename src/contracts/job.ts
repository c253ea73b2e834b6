/**
 * A coordinated task ("job"): what it is, how it stands, and what its object can be asked.
 */

import type { Failure, Result } from "../platform/errors.ts";
import type { AuditedCall } from "./audited-call.ts";
import type { Subscriber } from "./instance.ts";
import type { InstanceEvent } from "./instance-spec.ts";

/**
 * `sequential`: one after another, each with what came before. `parallel`: all at once. `consensus`: proposals, then
 * secret ballots. `delegated`: the coordinator plans sub-tasks with dependencies.
 */
export const COORDINATION_TYPES = ["sequential", "parallel", "consensus", "delegated"] as const;
export type CoordinationType = (typeof COORDINATION_TYPES)[number];

/** `partial`: finished, but not every participant did its part. The last four are final. */
export const JOB_STATES = ["queued", "running", "completed", "partial", "failed", "cancelled"] as const;
export type JobState = (typeof JOB_STATES)[number];

export function isFinalJob(state: JobState): boolean {
  return state !== "queued" && state !== "running";
}

/** An instance of a job as it was when the job was accepted. */
export interface Member {
  instance_id: string;
  name: string;
  role: string;
}

/** Null: not set. Which option belongs to which type is checked before the job is accepted. */
export interface JobOptions {
  /** consensus: what is voted on. Null: everyone proposes first, and the coordinator makes the choices from that. */
  choices: string[] | null;
  /** consensus: up to 1 a share of the participants, above 1 a number of ballots, that have to be valid. */
  quorum: number;
  /** consensus: the share of the valid ballots that a decision needs. Null: more than any other choice. */
  threshold: number | null;
  /** consensus: rounds of voting at most. */
  rounds: number;
  /** parallel: the coordinator first splits the task. */
  split: boolean;
  step_timeout_seconds: number;
}

/** What a job is, decided when it is accepted and never changed. `v` is the version of this shape. */
export interface JobSpec {
  v: 1;
  job_id: string;
  tenant: string;
  type: CoordinationType;
  task: string;
  coordinator: Member;
  participants: Member[];
  options: JobOptions;
  /** The `traceparent` of whoever started it, for its messages; absent without one. */
  trace?: string;
  /** ms since the epoch */
  created_at: number;
}

/** `skipped`: it was never asked for, because what it builds on failed or the job was cancelled. */
export const STEP_STATES = ["queued", "running", "completed", "failed", "skipped"] as const;
export type StepState = (typeof STEP_STATES)[number];

export const STEP_KINDS = [
  "split",
  "work",
  "propose",
  "cluster",
  "vote",
  "tiebreak",
  "plan",
  "task",
  "result",
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/** One thing that one instance is asked for. Times ISO 8601, cost USD of all its tries. */
export interface StepStatus {
  step: string;
  kind: StepKind;
  instance_id: string;
  name: string;
  status: StepState;
  /** The steps whose answers it builds on. */
  depends_on: string[];
  /** The messages with which it was asked for, the newest last. */
  message_ids: string[];
  started_at: string | null;
  finished_at: string | null;
  cost: number;
  /** The simulator gave it, not a model. */
  simulated?: true;
  error?: Failure;
}

/** What a participant gave. `text` may be cut: `more` says where the whole is. */
export interface Output {
  step: string;
  instance_id: string;
  name: string;
  text: string;
  message_id: string | null;
  more?: string;
}

export interface Vote {
  instance_id: string;
  choice: string;
  /** 0 to 1 */
  confidence: number;
  reasons: string;
}

/** The result of a consensus. */
export interface ConsensusResult {
  /** Null when there was no quorum, or no choice reached the threshold. */
  decision: string | null;
  /** Valid ballots by choice, all choices named. */
  tally: Record<string, number>;
  quorum_met: boolean;
  threshold_met: boolean;
  /** Who decided between choices with as many ballots. */
  tie_broken_by?: string;
  votes: Vote[];
  /** What was chosen by others than the decision's voters, with their reasons. */
  minority: { choice: string; votes: number; instance_ids: string[]; reasons: string[] }[];
  rounds: number;
  summary: string;
}

/** The result of every other type. `summary` is the coordinator's; null when it did not come to that. */
export interface MergedResult {
  summary: string | null;
  outputs: Output[];
}

export type JobResult = ConsensusResult | MergedResult;

/** How a job stands. `result` once it is final: also of one that failed or was cancelled, as far as it came. */
export interface JobStatus {
  job_id: string;
  type: CoordinationType;
  status: JobState;
  coordinator_id: string;
  participant_ids: string[];
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  steps: StepStatus[];
  result?: JobResult;
  /** The simulator gave at least one of its steps. */
  simulated?: true;
  error?: Failure;
}

/** What was deleted with a job: its steps, and the answers that they brought. */
export interface ErasedJob {
  steps: number;
  answers: number;
}

export interface JobApi extends Subscriber {
  /** Takes over the spec and goes on with whatever is next. */
  wake(): Promise<void>;
  /** How it stands, as soon as it is final, at the latest after `waitMs`. `not_found`. */
  status(waitMs: number): Promise<Result<JobStatus>>;
  /** How it stands now; `subscriber` (an instance) is notified once it is final. `not_found`. */
  subscribe(subscriber: string): Promise<Result<JobStatus>>;
  /** Stops it and the messages under way. One that has ended stays as it is. `not_found`. */
  cancel(reason: string, audit?: AuditedCall): Promise<Result<JobStatus>>;
  /** Deletes everything of a job that is over, for good; else `conflict`. Repeatable: then there is less left. */
  erase(): Promise<Result<ErasedJob>>;
}

/** What a job pushes to the registry. `seq` ascends with every report; one that arrives late is dropped. */
export interface JobReport {
  job_id: string;
  seq: number;
  state: JobState;
  started_at: number;
  finished_at: number | null;
  steps_done: number;
  steps_total: number;
  error: Failure | null;
  events: InstanceEvent[];
}
