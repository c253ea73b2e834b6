/** The catalogue of tools, and each tool under its own path. */
import * as z from "zod";
import { CATALOGUE } from "../../tools/runtime/catalogue.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import { jsonSchemaOf } from "../../tools/runtime/tool.ts";
import { json } from "../json.ts";
import { exampleOf } from "../openapi/examples.ts";
import { jsonBody, jsonObject } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";
import { CHANGING, toolRoute } from "../tool-route.ts";

const listTools = defineRoute({
  method: "GET",
  path: "/tools",
  access: "caller",
  operation: { id: "listTools", tag: "tools", summary: "All tools with their schemas" },
  handle: () =>
    Response.json({
      success: true,
      tools: CATALOGUE.map((tool) => ({
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input_schema: jsonSchemaOf(tool.input),
        output_schema: jsonSchemaOf(tool.output),
        annotations: tool.annotations,
      })),
    }),
});

const executeTool = defineRoute({
  method: "POST",
  path: "/tools/execute",
  access: "caller",
  // The dispatcher judges both: it names the tools that there are.
  body: jsonBody(
    z
      .strictObject({
        tool: z.unknown().optional().meta({ type: "string" }),
        arguments: z.unknown().optional().meta({ type: "object", additionalProperties: true }),
      })
      .meta({ required: ["tool"] }),
  ),
  operation: {
    id: "executeTool",
    tag: "tools",
    summary: "Run a tool that is named in the body",
    headers: { "Idempotency-Key": { type: "string" } },
    errors: CHANGING,
  },
  async handle({ context, request, body }) {
    return json(await dispatch(context, body.tool, body.arguments, request.headers.get("idempotency-key")));
  },
});

/** Says of a name that no tool has which tools there are. */
const unknownTool = defineRoute({
  method: "POST",
  path: "/tools/:name",
  access: "caller",
  body: jsonObject(() => ({ type: "object" })),
  operation: null,
  async handle({ context, params, body }) {
    return json(await dispatch(context, params.name, body));
  },
});

export const TOOL_ROUTES: readonly Route[] = [
  listTools,
  executeTool,
  unknownTool,
  ...CATALOGUE.map((tool) => {
    const example = exampleOf(tool.name);
    return toolRoute({
      method: "POST",
      path: `/tools/${tool.name}`,
      // The tool's scope is for the dispatcher to check, which puts refusals on record.
      access: "caller",
      tool,
      operation: {
        id: tool.name,
        tag: "tools",
        summary: tool.title,
        description: tool.description,
        ...(example ? { example } : {}),
      },
    });
  }),
];
