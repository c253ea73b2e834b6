import * as z from "zod";
import { MAX_PIECE_BYTES } from "../contracts/workspace.ts";
import { workspaceOf } from "../contracts/workspace-rpc.ts";
import { contentOfBytes } from "../workspace/content.ts";
import { instanceId, text } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

/** About 60,000 tokens of text. */
const DEFAULT_LENGTH = 262_144;

export const retrieveInstanceFile = defineTool({
  name: "retrieve_instance_file",
  title: "Read an instance's file",
  description:
    "Read a file of an instance's workspace, or a part of it: text as it is, anything else as base64. Works for terminated instances too.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    instance_id: instanceId,
    path: text().describe("Relative to the workspace, like src/app.ts"),
    encoding: z
      .enum(["utf-8", "base64"])
      .optional()
      .describe("How to answer. Default: utf-8 if the bytes are, else base64"),
    offset: z.int().min(0).default(0).describe("First byte"),
    length: z.int().min(1).max(MAX_PIECE_BYTES).default(DEFAULT_LENGTH).describe("Bytes, at most"),
  }),
  output: answer({
    path: z.string(),
    content: z.string(),
    encoding: z.string(),
    size: z.number(),
    offset: z.number(),
    length: z.number(),
    next_offset: z.number().nullable(),
    media_type: z.string(),
    version: z.string(),
    modified_at: z.string(),
  }),
  forInstances: { touches: (input) => touching("read_files", input.instance_id) },
  async run(context, input) {
    const {
      bytes,
      type: _file,
      ...file
    } = await workspaceOf(context.instance(input.instance_id)).read(input.path, {
      offset: input.offset,
      length: input.length,
    });
    const { content, encoding, length } = contentOfBytes(
      bytes,
      input.encoding,
      file.offset + bytes.length >= file.size,
    );
    const end = file.offset + length;
    return {
      success: true,
      message: end < file.size ? `${length} of ${file.size} bytes; the rest from next_offset on.` : `${length} bytes.`,
      ...file,
      content,
      encoding,
      length,
      next_offset: end < file.size ? end : null,
    };
  },
});
