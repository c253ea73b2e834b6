/**
 * A Worker for the conformance scenarios alone: the product's HTTP interface, with the tools, resources and prompts
 * that the referee asks for by name, and that a product has no use for. Never part of the product's build.
 */
import { createApp } from "../../../src/http/app.ts";
import type { McpServerDefinition } from "../../../src/http/mcp/endpoint.ts";
import { servePrompts } from "../../../src/http/mcp/prompts.ts";
import { serveResources } from "../../../src/http/mcp/resources.ts";
import { serveTasks, TASKS } from "../../../src/http/mcp/tasks.ts";
import { INSTANCE_TOOLS } from "../../../src/tools/own/index.ts";
import { ASKING_PROMPTS, ASKING_TOOLS, requestState } from "./asking.ts";
import { CONTENT_PROMPTS, CONTENT_RESOURCES, CONTENT_TOOLS } from "./content.ts";
import { PUSHING_TOOLS } from "./pushing.ts";
import { TASK_TOOLS, TASKS_BY_ID } from "./tasks.ts";
import { serveTools } from "./tool.ts";

export { Instance, Job, Orchestrator } from "../../../src/worker.ts";

const EVERYTHING: McpServerDefinition = {
  options: {
    capabilities: {
      tools: { listChanged: false },
      resources: { listChanged: false },
      prompts: { listChanged: false },
      logging: {},
      completions: {},
      extensions: { [TASKS]: {} },
    },
    requestState: { verify: requestState.verify },
  },
  serve(server, context) {
    const { era, contextFor } = context;
    if (era === "modern") serveTasks(server, contextFor, TASKS_BY_ID);
    serveTools(server, [...CONTENT_TOOLS, ...PUSHING_TOOLS, ...ASKING_TOOLS, ...TASK_TOOLS]);
    serveResources(server, context, CONTENT_RESOURCES);
    servePrompts(server, [...CONTENT_PROMPTS, ...ASKING_PROMPTS]);
    server.setRequestHandler("completion/complete", ({ params }) => {
      const values = ["paris", "park", "party"].filter((value) => value.startsWith(params.argument.value));
      return { completion: { values, total: values.length, hasMore: false } };
    });
  },
};

export default createApp(INSTANCE_TOOLS, EVERYTHING);
