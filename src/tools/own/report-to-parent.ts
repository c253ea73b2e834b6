import * as z from "zod";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import { instanceOf } from "../../contracts/stubs.ts";
import { titleOf } from "../../instance/turn/sender-line.ts";
import { unwrap } from "../../platform/errors.ts";
import { assertSize, prose } from "../runtime/fields.ts";
import { ownTool } from "./own-tool.ts";

export const reportToParent: InstanceTool = ownTool({
  name: "report_to_parent",
  description:
    "Tell your parent instance how your work stands. progress: it reads it with its next step, without being woken. result: it is given to it at once. Your final answer reaches whoever gave you the work anyway: don't repeat it here.",
  preset: "read_only",
  powers: ["message", "spend"],
  input: z.strictObject({
    kind: z.enum(["progress", "result"]).default("progress"),
    content: prose().describe("What to tell it"),
  }),
  async run(input, context) {
    if (context.parentId === null)
      throw new Error("You have no parent instance: what you say in your answer is enough.");
    assertSize("content", input.content);
    const view = unwrap(
      await instanceOf(context.env, context.tenant, context.parentId).send({
        message: input.content,
        sender: context.instanceId,
        sender_title: titleOf(context.name, context.instanceId, "child"),
        priority: 0,
        when_busy: "steer",
        passive: input.kind === "progress",
        response_schema: null,
        job: context.job,
        trace: context.trace ?? null,
        idempotency: { key: `report:${context.key}`, body_hash: "report" },
      }),
    );
    return { content: `Your parent has it (${view.message_id}).` };
  },
});
