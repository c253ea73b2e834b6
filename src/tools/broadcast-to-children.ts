import * as z from "zod";
import { failureOf, MadroxError, unwrap } from "../platform/errors.ts";
import { recordRefusal } from "./runtime/audit.ts";
import { assertSize, idempotencyKey, instanceId, prose } from "./runtime/fields.ts";
import { deliver } from "./runtime/message.ts";
import { touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool } from "./runtime/tool.ts";
import { awaitAll, MAX_WAIT_SECONDS, patienceMs } from "./runtime/waiting.ts";
import { sendAnswer } from "./send-to-instance.ts";

/** Deliveries under way at once. */
const AT_ONCE = 64;

export const broadcastToChildren = defineTool({
  name: "broadcast_to_children",
  title: "Send a message to all children of an instance",
  description:
    "Send the same message to every active child of an instance at once, and with wait_for_responses wait for their answers. One that can't take it is named in results; the others get it.",
  annotations: ADDS,
  changes: true,
  powers: ["message", "spend"],
  scope: "operate",
  unhashed: ["wait_for_responses", "timeout_seconds"],
  input: z.strictObject({
    parent_id: instanceId.describe("The instance whose children are meant"),
    message: prose(),
    wait_for_responses: z.boolean().default(false),
    timeout_seconds: z
      .number()
      .min(0)
      .default(30)
      .describe(`How long to wait for the answers; more than ${MAX_WAIT_SECONDS} counts as ${MAX_WAIT_SECONDS}`),
    idempotency_key: idempotencyKey,
  }),
  output: answer({ parent_id: z.string(), results: z.array(z.looseObject({})) }),
  forInstances: { touches: (input) => touching("broadcast", input.parent_id) },
  async run(context, input) {
    assertSize("message", input.message);
    const children = unwrap(await context.orchestrator.children(input.parent_id, context.idempotency));
    if (children.length === 0)
      throw new MadroxError("conflict", `${input.parent_id} has no active children.`, { parent_id: input.parent_id });
    const results = new Map<string, Record<string, unknown>>();
    const sent = new Map<string, string>();
    for (let from = 0; from < children.length; from += AT_ONCE) {
      await Promise.all(
        children.slice(from, from + AT_ONCE).map(async (child) => {
          try {
            const view = await deliver(context, child, {
              message: input.message,
              keyOf: (key) => `${key}:${child}`,
              relation: context.principal.instance === input.parent_id ? "parent" : "ancestor",
            });
            sent.set(view.message_id, child);
            results.set(child, sendAnswer(child, view));
          } catch (error) {
            const { code, message } = failureOf(error);
            results.set(child, { success: false, instance_id: child, error: code, message });
          }
        }),
      );
    }
    // What each child took is on record there.
    if (sent.size === 0 && context.audit) await recordRefusal(context, context.audit, input.parent_id, "conflict");
    if (input.wait_for_responses && sent.size > 0) {
      const states = await awaitAll(context, [...sent.keys()], "all", patienceMs(context, input.timeout_seconds));
      for (const { id, message } of states) {
        const child = sent.get(id);
        if (child && message) results.set(child, sendAnswer(child, message));
      }
    }
    const failed = [...results.values()].filter((result) => result.success === false).length;
    return {
      success: failed < children.length,
      message:
        failed === 0
          ? `Sent to ${children.length} children.`
          : `Sent to ${children.length} children; ${failed} did not take it or failed: see results.`,
      ...(failed === children.length ? { error: "conflict" } : {}),
      parent_id: input.parent_id,
      results: children.map((child) => ({ instance_id: child, ...results.get(child) })),
    };
  },
});
