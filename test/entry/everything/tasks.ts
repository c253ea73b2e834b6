/**
 * Tools whose calls go on as tasks. A task's id says all of it: what answers it, when that will be there, and for whom.
 */

import { inputRequired } from "@modelcontextprotocol/server";
import { assertSupportsTasks, supportsTasks, type Tasks, taskResult } from "../../../src/http/mcp/tasks.ts";
import { askName, given } from "./asking.ts";
import { NO_INPUT, type RawTool, textResult } from "./tool.ts";

interface Task {
  id: string;
  started: number;
  seconds: number;
  fails: boolean;
  says: string;
}

/** Tasks that were cancelled before they ended. Gone with the isolate: enough for one scenario. */
const cancelled = new Set<string>();

function begin(seconds: number, says: string, fails = false) {
  const started = Date.now();
  const task: Omit<Task, "id"> = { started, seconds, fails, says };
  return taskResult({ taskId: btoa(JSON.stringify(task)), createdAt: new Date(started).toISOString() });
}

function taskOf(id: string): Task | null {
  try {
    return { id, ...(JSON.parse(atob(id)) as Omit<Task, "id">) };
  } catch {
    return null;
  }
}

const isOver = ({ started, seconds }: Task) => Date.now() >= started + seconds * 1_000;

export const TASKS_BY_ID: Tasks = {
  async view(_context, taskId) {
    const task = taskOf(taskId);
    if (!task) return null;
    const view = { taskId, createdAt: new Date(task.started).toISOString() };
    if (cancelled.has(taskId)) return { ...view, status: "cancelled", statusMessage: "Cancelled." };
    if (!isOver(task)) return { ...view, status: "working", statusMessage: "It takes its time." };
    const answer = task.fails
      ? { success: false as const, error: "internal" as const, message: task.says }
      : { success: true, message: task.says };
    return { ...view, status: "completed", statusMessage: "Done.", answer };
  },
  async cancel(_context, taskId) {
    const task = taskOf(taskId);
    if (task && !isOver(task)) cancelled.add(taskId);
    return task !== null;
  },
};

export const TASK_TOOLS: readonly RawTool[] = [
  {
    name: "greet",
    description: "Answers at once.",
    inputSchema: { type: "object", properties: { name: { type: "string" } } },
    run: ({ name }) => textResult(`Hello, ${name}!`),
  },
  {
    name: "slow_compute",
    description: "Takes as many seconds as it is told; for a client that follows tasks, as one.",
    inputSchema: { type: "object", properties: { seconds: { type: "number" }, label: { type: "string" } } },
    async run({ seconds }, call) {
      if (supportsTasks(call)) return begin(Number(seconds), "Computed.");
      await new Promise((done) => setTimeout(done, Number(seconds) * 1_000));
      return textResult("Computed.");
    },
  },
  {
    name: "failing_job",
    description: "Fails after a second. Only for clients that follow tasks.",
    inputSchema: NO_INPUT,
    run(_input, call) {
      assertSupportsTasks(call);
      return begin(1, "It did not work.", true);
    },
  },
  {
    name: "test_tool_with_task",
    description: "Asks for a name, and then goes on as a task. Only for clients that follow tasks.",
    inputSchema: NO_INPUT,
    run(_input, call) {
      assertSupportsTasks(call);
      const name = given(call, "user_name", "name");
      if (typeof name !== "string") return inputRequired({ inputRequests: { user_name: askName() } });
      return begin(1, `Hello, ${name}!`);
    },
  },
];
