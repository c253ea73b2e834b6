import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import { unwrap } from "../platform/errors.ts";
import { idempotencyKey, instanceId } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, ENDS } from "./runtime/tool.ts";

export const terminateInstance = defineTool({
  name: "terminate_instance",
  title: "Terminate an instance",
  description:
    "End an instance and all its children. It takes no more messages; queued ones are cancelled, its record and output stay readable. The running turn is finished first, with force it is stopped.",
  annotations: ENDS,
  changes: true,
  powers: ["spawn"],
  scope: "operate",
  input: z.strictObject({
    instance_id: instanceId,
    force: z.boolean().default(false).describe("Stop the running turn instead of finishing it"),
    idempotency_key: idempotencyKey,
  }),
  output: answer({ instance_id: z.string(), terminated: z.array(z.string()) }),
  forInstances: { touches: (input) => touching("terminate", input.instance_id) },
  async run(context, input) {
    const { terminated } = unwrap(
      await context.orchestrator.terminate({
        instance_id: input.instance_id,
        force: input.force,
        reason: "terminated by request",
        ...originOf(context),
      }),
    );
    return {
      success: true,
      message:
        terminated.length === 0
          ? input.force
            ? "The instance was terminated before; a turn that it was still finishing is stopped."
            : "The instance was terminated before."
          : `Terminated ${terminated.length === 1 ? "the instance" : `${terminated.length} instances, children first`}.`,
      instance_id: input.instance_id,
      terminated,
    };
  },
});
