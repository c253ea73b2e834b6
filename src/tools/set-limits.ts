import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { idempotencyKey, instanceId, spendingLimits, timeoutMinutes, turnMinutes } from "./runtime/fields.ts";
import { answer, defineTool } from "./runtime/tool.ts";

export const setLimits = defineTool({
  name: "set_limits",
  title: "Set limits",
  description:
    "Set limits of an instance and everything below it, or, without instance_id, of all instances together. What a cap had paused goes on where it stopped if the new one allows it.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  changes: true,
  powers: ["spend"],
  scope: "operate",
  scopeFor: ({ instance_id }) => (instance_id === undefined ? "admin" : "operate"),
  input: z.strictObject({
    instance_id: instanceId.optional(),
    ...spendingLimits,
    timeout_minutes: timeoutMinutes,
    max_turn_minutes: turnMinutes,
    max_instances: z.int().min(1).optional().describe("Of all instances together only"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({
    instance_id: z.string().optional(),
    limits: z.looseObject({}),
    remaining: z.looseObject({}),
    resumed: z.array(z.string()),
  }),
  async run(context, input) {
    const { instance_id = null, idempotency_key: _key, ...change } = input;
    if (Object.values(change).every((value) => value === undefined)) {
      throw new MadroxError(
        "invalid_input",
        "Name at least one limit: max_cost, max_total_tokens, timeout_minutes, max_turn_minutes or max_instances.",
      );
    }
    const misplaced =
      instance_id === null
        ? (["timeout_minutes", "max_turn_minutes"] as const).find((name) => change[name] !== undefined)
        : change.max_instances === undefined
          ? undefined
          : "max_instances";
    if (misplaced) {
      const where =
        instance_id === null ? "an instance: name its instance_id" : "all instances together: leave instance_id out";
      throw new MadroxError("invalid_input", `${misplaced} is a limit of ${where}.`, { field: misplaced });
    }
    const { limits, remaining, resumed } = unwrap(
      await context.orchestrator.setLimits(instance_id, change, originOf(context)),
    );
    return {
      success: true,
      message:
        resumed.length === 0
          ? "The limits are set."
          : `The limits are set; ${resumed.length} paused instances try again.`,
      ...(instance_id ? { instance_id } : {}),
      limits,
      remaining,
      resumed,
    };
  },
});
