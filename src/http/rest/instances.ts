/** Instances: one, all, their tree, their open questions, a look at one now, and deletion for good. */
import type { StatusRecord } from "../../contracts/records.ts";
import { healthView } from "../../orchestrator/registry/status.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { isInstanceId } from "../../platform/ids.ts";
import { answerQuestion } from "../../tools/answer-question.ts";
import { getInstanceStatus } from "../../tools/get-instance-status.ts";
import { getInstanceTree } from "../../tools/get-instance-tree.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import type { ToolAnswer } from "../../tools/runtime/tool.ts";
import { json } from "../json.ts";
import { defineRoute, type Route } from "../route.ts";
import { toolRoute } from "../tool-route.ts";

/** Open questions in one answer, at most: the oldest. */
const MAX_QUESTIONS = 500;

const listInstances = toolRoute({
  method: "GET",
  path: "/instances",
  tool: getInstanceStatus,
  operation: { id: "listInstances", tag: "instances", summary: "All instances, filtered and paged" },
});

const getInstance = toolRoute({
  method: "GET",
  path: "/instances/:id",
  tool: getInstanceStatus,
  params: { id: "instance_id" },
  takesFields: false,
  operation: { id: "getInstance", tag: "instances", summary: "The state of an instance" },
});

const deleteInstance = defineRoute({
  method: "DELETE",
  path: "/instances/:id",
  access: "admin",
  operation: {
    id: "deleteInstance",
    tag: "instances",
    summary: "Delete a terminated instance for good, conversation and files",
    errors: ["conflict"],
  },
  async handle({ context, params: { id } }) {
    if (!isInstanceId(id)) throw new MadroxError("invalid_input", "That is no instance id.", { field: "instance_id" });
    const removed = await recorded(context, "delete_instance", id, async (audit) =>
      unwrap(await context.orchestrator.erase(id, audit)),
    );
    return json({
      success: true,
      message: `Deleted for good: ${removed.messages} messages with their answers, and ${removed.files} files.`,
      instance_id: id,
      removed,
    });
  },
});

const checkInstance = defineRoute({
  method: "POST",
  path: "/instances/:id/health",
  access: "read",
  operation: { id: "checkInstance", tag: "instances", summary: "Look at an instance now" },
  async handle({ context, params: { id } }) {
    const known = await dispatch(context, "get_instance_status", { instance_id: id });
    if (!known.success) return json(known);
    const record = (known as ToolAnswer & { status: StatusRecord }).status;
    const { unhealthy, ...checks } = unwrap(await context.instance(id).checkup());
    const health = healthView(unhealthy);
    return json({
      success: true,
      message: `${record.name} is ${record.state} and can be reached.`,
      instance_id: id,
      state: record.state,
      healthy: record.state !== "error" && record.state !== "terminated" && health.state === "healthy",
      health_score: record.health_score,
      health,
      checks,
    });
  },
});

const getTree = toolRoute({
  method: "GET",
  path: "/tree",
  tool: getInstanceTree,
  operation: { id: "getTree", tag: "instances", summary: "Which instance belongs to which" },
});

const listQuestions = defineRoute({
  method: "GET",
  path: "/questions",
  access: "read",
  operation: { id: "listQuestions", tag: "instances", summary: "The open questions of all instances" },
  async handle({ context }) {
    const questions = await context.orchestrator.questions({ limit: MAX_QUESTIONS });
    return json({ success: true, message: `${questions.length} open questions.`, questions });
  },
});

const postAnswer = toolRoute({
  method: "POST",
  path: "/questions/:id",
  tool: answerQuestion,
  params: { id: "question_id" },
  operation: { id: "answerQuestion", tag: "instances", summary: "Answer a question" },
});

export const INSTANCE_ROUTES: readonly Route[] = [
  listInstances,
  getInstance,
  deleteInstance,
  checkInstance,
  getTree,
  listQuestions,
  postAnswer,
];
