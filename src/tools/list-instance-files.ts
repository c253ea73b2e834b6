import * as z from "zod";
import { workspaceOf } from "../contracts/workspace-rpc.ts";
import { instanceId, text } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

export const listInstanceFiles = defineTool({
  name: "list_instance_files",
  title: "List an instance's files",
  description:
    "List the files in an instance's workspace with size, version and media type, in pages. Works for terminated instances too.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    instance_id: instanceId,
    path: text().default("").describe("A folder; default: the whole workspace"),
    recursive: z.boolean().default(true).describe("Everything below it, not only what is in it"),
    pattern: text().min(1).max(1_000).optional().describe("Only files that fit, like *.md or src/**/*.ts"),
    limit: z.int().min(1).max(1_000).default(200).describe("Entries, at most"),
    cursor: text().optional().describe("next_cursor of the page before"),
  }),
  output: answer({
    files: z.array(
      z.looseObject({
        path: z.string(),
        type: z.string(),
        size: z.number(),
        modified_at: z.string(),
        version: z.string(),
        media_type: z.string(),
      }),
    ),
    count: z.number(),
    next_cursor: z.string().nullable(),
  }),
  forInstances: { touches: (input) => touching("read_files", input.instance_id) },
  async run(context, input) {
    const { entries, next } = await workspaceOf(context.instance(input.instance_id)).list({
      folder: input.path,
      recursive: input.recursive,
      pattern: input.pattern ?? null,
      limit: input.limit,
      cursor: input.cursor ?? null,
    });
    return {
      success: true,
      message:
        next === null ? `${entries.length} entries.` : `${entries.length} entries; there are more from next_cursor on.`,
      files: entries,
      count: entries.length,
      next_cursor: next,
    };
  },
});
