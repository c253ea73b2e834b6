/**
 * Tasks: long work that a caller follows by id instead of waiting. A task is a view of durable rows; it has no state of its
 * own but what it waits for.
 */
import { auditOf } from "../../contracts/audited-call.ts";
import { isFinal, type MessageView } from "../../contracts/instance.ts";
import { isFinalJob, type JobStatus } from "../../contracts/job.ts";
import type { JobRecord } from "../../contracts/records.ts";
import { assertScope } from "../../contracts/scopes.ts";
import { type ErrorBody, errorBody, failureOf, unwrap } from "../../platform/errors.ts";
import { isJobId, parseMessageId } from "../../platform/ids.ts";
import { jobAnswer } from "../get-job-status.ts";
import { sendAnswer } from "../send-to-instance.ts";
import { waitAnswer } from "../wait.ts";
import type { ToolAnswer, ToolContext } from "./tool.ts";
import { awaitAll, isEnough } from "./waiting.ts";

export interface TaskView {
  taskId: string;
  status: "working" | "completed" | "cancelled";
  /** ISO 8601 */
  createdAt: string;
  /** In a few words, what it is doing. */
  statusMessage: string;
  /** The tool's answer, once completed. */
  answer?: ToolAnswer | ErrorBody;
}

type Context = Pick<ToolContext, "instance" | "jobApi" | "orchestrator" | "log" | "signal" | "progress" | "principal">;

/** How a task stands, or null when there is none of this id (for this caller). */
export async function taskView(context: Context, taskId: string): Promise<TaskView | null> {
  const message = parseMessageId(taskId);
  if (message) {
    const view = await context.instance(message.instanceId).message(message.n, 0);
    return view.ok ? viewOfMessage(message.instanceId, view.value) : null;
  }
  if (isJobId(taskId)) {
    const job = await context.jobApi(taskId).status(0);
    return job.ok ? viewOfJob(job.value, await context.orchestrator.job(taskId)) : null;
  }
  const task = await context.orchestrator.taskOf(taskId);
  if (!task) return null;
  const createdAt = new Date(task.created_at).toISOString();
  if (task.cancelled) return { taskId, status: "cancelled", createdAt, statusMessage: "No longer waited for." };
  try {
    const states = await awaitAll(context, task.ids, task.until, 0);
    const done = isEnough(states, task.until);
    const answer = waitAnswer(states);
    return {
      taskId,
      status: done ? "completed" : "working",
      createdAt,
      statusMessage: `${answer.done.length} of ${states.length} done`,
      ...(done ? { answer } : {}),
    };
  } catch (error) {
    return { taskId, status: "completed", createdAt, statusMessage: "failed", answer: errorBody(failureOf(error)) };
  }
}

/**
 * Cancels a task: a message is cancelled with its turn, a job with its steps, a wait is forgotten. Returns whether there is
 * such a task. Throws `forbidden` for the message or job of somebody who may only read.
 */
export async function cancelTask(context: Context, taskId: string): Promise<boolean> {
  const audit = auditOf(context.principal, "cancel_task");
  const message = parseMessageId(taskId);
  if (message) {
    assertScope(context.principal.scopes, "operate");
    const answer = await context.instance(message.instanceId).cancel(message.n, "its task was cancelled", audit);
    if (!answer.ok && answer.error.code === "not_found") return false;
    unwrap(answer);
    return true;
  }
  if (isJobId(taskId)) {
    assertScope(context.principal.scopes, "operate");
    const answer = await context.jobApi(taskId).cancel("its task was cancelled", audit);
    if (!answer.ok && answer.error.code === "not_found") return false;
    unwrap(answer);
    return true;
  }
  if (!(await context.orchestrator.taskOf(taskId))) return false;
  await context.orchestrator.cancelTask(taskId);
  return true;
}

function viewOfMessage(instanceId: string, view: MessageView): TaskView {
  const task = { taskId: view.message_id, createdAt: view.created_at };
  if (view.state === "cancelled")
    return { ...task, status: "cancelled", statusMessage: view.error?.message ?? "Cancelled." };
  if (isFinal(view.state)) {
    return { ...task, status: "completed", statusMessage: view.state, answer: sendAnswer(instanceId, view) };
  }
  const waiting = view.waiting_for
    ? `waiting: ${view.waiting_for.reason}`
    : view.state === "queued"
      ? "queued"
      : "working";
  return { ...task, status: "working", statusMessage: waiting };
}

function viewOfJob(job: JobStatus, record: JobRecord | null): TaskView {
  const task = { taskId: job.job_id, createdAt: job.created_at, statusMessage: job.status };
  if (job.status === "cancelled") return { ...task, status: "cancelled" };
  return isFinalJob(job.status)
    ? { ...task, status: "completed", answer: jobAnswer(job, record) }
    : { ...task, status: "working" };
}
