import * as z from "zod";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { instanceId, simulated } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

export const getInstanceOutput = defineTool({
  name: "get_instance_output",
  title: "Read an instance's conversation",
  description:
    "Read what an instance received, said and did, oldest first and whole: user (messages to it), response (final answers), progress, tool_call, tool_result, notice. Page on with next_cursor. Works for terminated instances too.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    instance_id: instanceId,
    since: z.string().optional().describe("ISO 8601 time; only what happened then or later"),
    limit: z.int().min(1).max(1000).default(100).describe("Rows, at most; a page of very long ones ends earlier"),
    cursor: z.string().optional().describe("next_cursor of the page before"),
  }),
  output: answer({
    output: z.array(
      z.looseObject({
        message_index: z.number(),
        message_id: z.string(),
        type: z.string(),
        content: z.string(),
        timestamp: z.string(),
        tokens_used: z.number(),
        cost: z.number(),
        cut: z.literal(true).optional().describe("It broke off: its end never came"),
        simulated,
      }),
    ),
    count: z.number(),
    next_cursor: z.string().nullable(),
  }),
  forInstances: { touches: (input) => touching("read", input.instance_id) },
  async run(context, input) {
    const page = unwrap(
      await context.instance(input.instance_id).output({
        since: input.since === undefined ? null : timeOf(input.since),
        after: input.cursor === undefined ? null : indexOf(input.cursor),
        limit: input.limit,
      }),
    );
    return {
      success: true,
      message:
        page.next === null
          ? `${page.rows.length} rows.`
          : `${page.rows.length} rows; there are more from next_cursor on.`,
      output: page.rows,
      count: page.rows.length,
      next_cursor: page.next === null ? null : String(page.next),
    };
  },
});

function timeOf(since: string): number {
  // A date alone, or a time with or without a zone: no other text that Date.parse happens to take.
  const time = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.test(since)
    ? Date.parse(since)
    : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new MadroxError(
    "invalid_input",
    `since is no ISO 8601 time: ${JSON.stringify(since.slice(0, 60))}. Write it like 2026-11-22T12:00:00Z.`,
    { field: "since" },
  );
}

function indexOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new MadroxError("invalid_input", "cursor is none of this tool's: take next_cursor of the page before.", {
    field: "cursor",
  });
}
