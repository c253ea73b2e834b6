/**
 * A tool that only instances have, with its input checked as everywhere.
 */
import * as z from "zod";
import type { InstanceTool, ToolContext, ToolOutcome, ToolPreset } from "../../instance/tool.ts";

/** The tool has to do no harm when it runs twice for one call: it uses `context.key` for what it does elsewhere. */
export function ownTool<Input extends z.ZodType<Record<string, unknown>>>(tool: {
  name: string;
  description: string;
  preset: ToolPreset;
  input: Input;
  run(input: z.output<Input>, context: ToolContext): Promise<ToolOutcome>;
}): InstanceTool {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(tool.input, { io: "input" }) as Record<string, unknown>;
  return {
    name: tool.name,
    description: tool.description,
    input_schema: schema,
    preset: tool.preset,
    repeatable: true,
    async run(input, context) {
      const parsed = tool.input.safeParse(input);
      if (!parsed.success) {
        const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "input"}: ${issue.message}`);
        throw new Error(`${tool.name} can't be called like this. ${problems.join("; ")}.`);
      }
      return tool.run(parsed.data, context);
    },
  };
}
