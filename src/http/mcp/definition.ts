/**
 * What Madrox has for MCP clients: the tools of the catalogue, checked and run by the same dispatcher as everywhere, resources,
 * prompts, and tasks for clients that can follow them.
 */
import type { ServerContext } from "@modelcontextprotocol/server";
import { dispatch, dispatchOrBegin } from "../../tools/runtime/dispatch.ts";
import { cancelTask, taskView } from "../../tools/runtime/task.ts";
import { isTask } from "../../tools/runtime/tool.ts";
import type { McpServerDefinition } from "./endpoint.ts";
import { PROMPTS, servePrompts } from "./prompts.ts";
import { RESOURCES, serveResources } from "./resources.ts";
import { serveTasks, supportsTasks, TASKS, taskResult, toolResult } from "./tasks.ts";
import { toolList } from "./tool-list.ts";

/** In the context of every conversation that uses the server: under 2 KB. */
const INSTRUCTIONS = `Madrox runs many Claude instances for you. The pattern is: spawn_claude with a name and a role, send_to_instance with a message, read the answer.
- send_to_instance waits up to 50 s. If status is queued or working, nothing is lost: the work goes on; call wait with the message_id, as often as needed.
- To let several work at once, send to each with wait_for_response=false, then wait for all their message_ids.
- Instances remember their conversation, and have files of their own. Give each one job, and tell it everything it needs: it can't see your conversation.
- With parent_instance_id an instance belongs to another: it works within its limits and ends with it. broadcast_to_children talks to all of them.
- spawn_team starts a supervisor with specialists below it from a template; with task_description it begins at once.
- To have several work together on one task, call coordinate_instances, then wait with its task_id: the server asks each instance, and keeps what they deliver.
- An instance may ask you something: get_instance_status shows open questions, answer_question answers them.
- get_instance_output has everything that an instance received, said and did; list_instance_files and retrieve_instance_file what it made. get_instance_status shows who is busy and what it cost. terminate_instance what is no longer needed: active instances are limited.
- max_cost and max_total_tokens are checked before each model call. budget_exceeded: the work is paused, and set_limits lets it go on.
- With an idempotency_key, a repeated call has no second effect.`;

export const MADROX_MCP_SERVER: McpServerDefinition = {
  options: {
    instructions: INSTRUCTIONS,
    capabilities: {
      tools: { listChanged: false },
      resources: { listChanged: false },
      prompts: { listChanged: false },
      extensions: { [TASKS]: {} },
    },
  },
  serve(server, context) {
    const { era, contextFor, apps } = context;
    if (era === "modern") serveTasks(server, contextFor, { view: taskView, cancel: cancelTask });
    serveResources(server, context, RESOURCES);
    servePrompts(server, PROMPTS);
    server.setRequestHandler("tools/list", () => toolList(apps) as never);
    server.setRequestHandler("tools/call", async ({ params }, call) => {
      const context = contextFor(call.mcpReq.signal, {
        traceparent: params._meta?.traceparent ?? call.mcpReq._meta?.traceparent,
        progress: progressTo(call),
      });
      if (era === "modern" && supportsTasks(call)) {
        const result = await dispatchOrBegin(context, params.name, params.arguments);
        return isTask(result) ? taskResult(result) : toolResult(result);
      }
      return toolResult(await dispatch(context, params.name, params.arguments));
    });
  },
};

/** Progress notifications for a caller that asked for them; text for one that reads it. */
function progressTo(call: ServerContext): (message: string) => void {
  const token = call.mcpReq._meta?.progressToken;
  let progress = 0;
  return (message) => {
    if (token === undefined) return;
    progress += 1;
    // A client that has gone is noticed by its signal; progress that can't be sent is of no use to anyone else.
    call.mcpReq
      .notify({ method: "notifications/progress", params: { progressToken: token, progress, message } })
      .catch(() => undefined);
  };
}
