/**
 * The tasks extension of MCP (`io.modelcontextprotocol/tasks`, revision 2026-07-28): a call that would wait long is answered
 * with a task, which the client asks for until it is done. The SDK has no server side for it.
 */
import {
  type CallToolResult,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  type Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { TASK_LIFETIME_MS } from "../../orchestrator/registry/tasks.ts";
import type { ErrorBody } from "../../platform/errors.ts";
import type { TaskView } from "../../tools/runtime/task.ts";
import type { StartedTask, ToolAnswer } from "../../tools/runtime/tool.ts";
import type { CallContext } from "../context.ts";

export const TASKS = "io.modelcontextprotocol/tasks";

/** How often a client is asked to look, in ms. */
const POLL_MS = 1_000;
/** JSON-RPC's code for a parameter that names nothing. */
const INVALID_PARAMS = -32602;

/** Whether the client declared, in this very request, that it follows tasks. Others must not be given any. */
export function supportsTasks(call: ServerContext): boolean {
  const envelope = call.mcpReq.envelope as Record<string, unknown> | undefined;
  const capabilities = envelope?.["io.modelcontextprotocol/clientCapabilities"] as
    | { extensions?: Record<string, unknown> }
    | undefined;
  return capabilities?.extensions?.[TASKS] !== undefined;
}

/** Some clients show the model only the text, some only the structure: both hold everything. */
export function toolResult(answer: ToolAnswer | ErrorBody): CallToolResult {
  return {
    structuredContent: answer,
    content: [{ type: "text", text: JSON.stringify(answer) }],
    ...(answer.success ? {} : { isError: true }),
  };
}

/** What `tools/call` answers when the work goes on as a task. */
export function taskResult(task: StartedTask): CallToolResult {
  return {
    resultType: "task",
    taskId: task.taskId,
    status: "working",
    createdAt: task.createdAt,
    lastUpdatedAt: task.createdAt,
    ttlMs: TASK_LIFETIME_MS,
    pollIntervalMs: POLL_MS,
    content: [],
  } as unknown as CallToolResult;
}

const Params = { params: z.looseObject({ taskId: z.string().max(200) }) };

/** Where tasks are found. */
export interface Tasks {
  /** The state of a task, or null when this caller has none of this id. */
  view(context: CallContext, taskId: string): Promise<TaskView | null>;
  /** Returns whether there is such a task. */
  cancel(context: CallContext, taskId: string): Promise<boolean>;
}

/** Answers `tasks/get`, `tasks/update` and `tasks/cancel`. */
export function serveTasks(server: Server, contextFor: (signal: AbortSignal) => CallContext, tasks: Tasks): void {
  server.setRequestHandler("tasks/get", Params, async ({ taskId }, call) => {
    assertSupportsTasks(call);
    const task = await tasks.view(contextFor(call.mcpReq.signal), taskId);
    if (!task) throw unknownTask(taskId);
    const { answer, ...view } = task;
    return {
      resultType: "complete",
      ...view,
      lastUpdatedAt: new Date().toISOString(),
      ttlMs: TASK_LIFETIME_MS,
      pollIntervalMs: POLL_MS,
      ...(answer ? { result: { resultType: "complete", ...toolResult(answer) } } : {}),
    };
  });
  server.setRequestHandler("tasks/update", Params, async ({ taskId }, call) => {
    assertSupportsTasks(call);
    // No task asks its client for anything, so there is nothing to take in; but the id has to be one.
    if (!(await tasks.view(contextFor(call.mcpReq.signal), taskId))) throw unknownTask(taskId);
    return {};
  });
  server.setRequestHandler("tasks/cancel", Params, async ({ taskId }, call) => {
    assertSupportsTasks(call);
    if (!(await tasks.cancel(contextFor(call.mcpReq.signal), taskId))) throw unknownTask(taskId);
    return {};
  });
}

/** Throws what a client is told that calls for a task and does not declare that it follows them. */
export function assertSupportsTasks(call: ServerContext): void {
  if (supportsTasks(call)) return;
  throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [TASKS]: {} } } });
}

function unknownTask(taskId: string): ProtocolError {
  return new ProtocolError(INVALID_PARAMS, `There is no task ${taskId.slice(0, 100).toWellFormed()}.`);
}
