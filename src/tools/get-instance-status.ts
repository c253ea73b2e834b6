import * as z from "zod";
import { INSTANCE_STATES } from "../contracts/instance-spec.ts";
import { unknownInstance } from "../contracts/refusals.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { isInstanceId } from "../platform/ids.ts";
import { NANO_PER_USD } from "../platform/units.ts";
import { ROLE_IDS } from "../roles/index.ts";
import { instanceId } from "./runtime/fields.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

export const getInstanceStatus = defineTool({
  name: "get_instance_status",
  title: "See how instances stand",
  description:
    "Without instance_id: all instances with totals, filtered and paged. With one: its state, tokens, cost, errors, health and what it waits for.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    instance_id: instanceId.optional(),
    state: z.enum(INSTANCE_STATES).optional().describe("Only instances in this state"),
    role: z.enum(ROLE_IDS).optional().describe("Only instances of this role"),
    parent_id: instanceId.optional().describe("Only children of this instance"),
    limit: z.int().min(1).max(500).default(100),
    cursor: z.string().optional().describe("next_cursor of the page before"),
  }),
  output: answer({ status: z.looseObject({}), next_cursor: z.string().nullable().optional() }),
  async run(context, input) {
    if (input.instance_id !== undefined) {
      const record = await context.orchestrator.status(input.instance_id);
      if (!record) return unwrap(unknownInstance(input.instance_id));
      return { success: true, message: `${record.name} is ${record.state}.`, status: { ...record } };
    }
    if (input.cursor !== undefined && !isInstanceId(input.cursor)) {
      throw new MadroxError("invalid_input", "cursor is none of this tool's: take next_cursor of the page before.", {
        field: "cursor",
      });
    }
    const page = await context.orchestrator.list({
      limit: input.limit,
      ...(input.state ? { state: input.state } : {}),
      ...(input.role ? { role: input.role } : {}),
      ...(input.parent_id ? { parent_id: input.parent_id } : {}),
      ...(input.cursor ? { cursor: input.cursor } : {}),
    });
    return {
      success: true,
      message: `${page.active_instances} of ${page.total_instances} instances are active.`,
      status: {
        instances: Object.fromEntries(page.instances.map((record) => [record.instance_id, record])),
        total_instances: page.total_instances,
        active_instances: page.active_instances,
        total_tokens_used: page.total_tokens_used,
        total_cost: page.total_cost_nano / NANO_PER_USD,
      },
      next_cursor: page.next_cursor,
    };
  },
});
