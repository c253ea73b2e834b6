/**
 * A tool that only instances have, with its input checked as everywhere.
 */
import type * as z from "zod";
import type { InstanceTool, InstanceToolContext, ToolOutcome } from "../../contracts/instance-tool.ts";
import type { Power } from "../../contracts/powers.ts";
import { inputOf, schemaOf } from "../../contracts/tool-input.ts";
import type { ToolPreset } from "../../contracts/tool-presets.ts";

/** The tool has to do no harm when it runs twice for one call: it uses `context.key` for what it does elsewhere. */
export function ownTool<Input extends z.ZodType<Record<string, unknown>>>(tool: {
  name: string;
  description: string;
  preset: ToolPreset;
  powers: readonly Power[];
  powersFor?(input: Record<string, unknown>): readonly Power[];
  input: Input;
  run(input: z.output<Input>, context: InstanceToolContext): Promise<ToolOutcome>;
}): InstanceTool {
  return {
    name: tool.name,
    description: tool.description,
    input_schema: schemaOf(tool.input),
    preset: tool.preset,
    powers: tool.powers,
    ...(tool.powersFor ? { powersFor: tool.powersFor } : {}),
    repeatable: true,
    // Not thrown at the caller: what does not fit is a rejection like any other of the tool.
    run: async (input, context) => tool.run(inputOf(tool.name, tool.input, input), context),
  };
}
