import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import { workspaceOf } from "../contracts/workspace-rpc.ts";
import { bytesOfContent } from "../workspace/content.ts";
import { idempotencyKey, instanceId, text } from "./runtime/fields.ts";
import { answer, defineTool, ENDS } from "./runtime/tool.ts";

export const writeInstanceFile = defineTool({
  name: "write_instance_file",
  title: "Write an instance's file",
  description:
    "Create a file in an instance's workspace, or replace it whole. With expected_version it replaces only the version that you have read; a stale one is a conflict, and nothing is lost.",
  annotations: ENDS,
  changes: true,
  powers: ["write"],
  scope: "operate",
  input: z.strictObject({
    instance_id: instanceId,
    path: text().describe("Relative to the workspace, like src/app.ts; folders come by themselves"),
    content: z.string().describe("The whole file"),
    encoding: z.enum(["utf-8", "base64"]).default("utf-8").describe("base64 for what is no text"),
    expected_version: text().optional().describe('The version to replace; "new": only if nothing is there'),
    idempotency_key: idempotencyKey,
  }),
  output: answer({
    path: z.string(),
    size: z.number(),
    media_type: z.string(),
    version: z.string(),
    modified_at: z.string(),
    created: z.boolean(),
  }),
  async run(context, input) {
    const bytes = bytesOfContent(input.content, input.encoding);
    const { type: _file, ...file } = await workspaceOf(context.instance(input.instance_id)).write(input.path, bytes, {
      ...(input.expected_version === undefined ? {} : { expected: input.expected_version }),
      ...originOf(context),
    });
    return { success: true, message: `${file.created ? "Created" : "Replaced"} ${file.path}.`, ...file };
  },
});
