import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import { unwrap } from "../platform/errors.ts";
import { idempotencyKey, instanceId, text } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool } from "./runtime/tool.ts";

export const interruptInstance = defineTool({
  name: "interrupt_instance",
  title: "Stop what an instance is doing",
  description:
    "Stop the running turn of an instance, at once. Its message ends as cancelled; what it cost stays on record, the conversation stays usable, and queued messages go on.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  changes: true,
  powers: ["message"],
  scope: "operate",
  input: z.strictObject({
    instance_id: instanceId,
    reason: text().max(500).optional().describe("Why, for the record"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({ instance_id: z.string(), interrupted: z.array(z.string()) }),
  forInstances: { touches: (input) => touching("interrupt", input.instance_id) },
  async run(context, input) {
    const interrupted = unwrap(
      await context
        .instance(input.instance_id)
        .interrupt(input.reason?.trim() || "interrupted by request", originOf(context)),
    );
    return {
      success: true,
      message: interrupted.length === 0 ? "Nothing was running." : "The running turn was stopped.",
      instance_id: input.instance_id,
      interrupted,
    };
  },
});
