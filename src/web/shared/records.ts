/**
 * What the server's answers hold, as far as the page reads them: the server's own shapes, and what its doors add to them. Times
 * ISO 8601, money USD, tokens fresh ones.
 */
import type * as coordination from "../../contracts/job.ts";
import type * as records from "../../contracts/records.ts";
import type { Failure } from "../../platform/errors.ts";

export type { OutputRow, OutputType } from "../../contracts/instance.ts";
export type { InstanceState } from "../../contracts/instance-spec.ts";
export type { StepStatus as JobStep, Vote } from "../../contracts/job.ts";
export type {
  JobRecord,
  LiveFrame,
  QuestionRecord as Question,
  SpendSeries,
  TenantEvent as LogEvent,
  TreeNode,
  TreeRow,
} from "../../contracts/records.ts";
export type { FileInfo as FileEntry } from "../../contracts/workspace.ts";

/** The answer of `GET /tree`. */
export interface TreeAnswer extends Omit<records.TreeAnswer, "roots"> {
  tree: records.TreeNode[];
}

/** The answer of `GET /instances/{id}`, its `status`. */
export interface InstanceRecord extends Omit<records.StatusRecord, "limits" | "remaining"> {
  limits: {
    max_cost: number | null;
    max_total_tokens: number | null;
    timeout_minutes: number | null;
    max_turn_minutes: number | null;
  };
  remaining: records.Funds["remaining"];
}

export interface SpendAnswer extends Omit<records.SpendAnswer, "limits" | "remaining"> {
  limits: { max_cost: number; max_total_tokens: number | null; max_instances: number };
  remaining: { cost: number };
}

/** Of any type of job. */
export type JobResult = Partial<coordination.ConsensusResult> & Partial<coordination.MergedResult>;

/** The answer of `GET /jobs/{id}`. */
export interface JobStatus extends Omit<coordination.JobStatus, "result" | "error"> {
  result?: JobResult;
  failure?: Failure;
  cost: number;
  max_cost: number | null;
}
