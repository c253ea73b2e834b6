/**
 * Handing a message to its instance, in the caller's name. From then on it is safe.
 */

import type { MessageView, WhenBusy } from "../../contracts/instance.ts";
import { type Speaker, titleOf } from "../../instance/turn/sender-line.ts";
import { unwrap } from "../../platform/errors.ts";
import { relationTo } from "./reachability.ts";
import type { ToolContext } from "./tool.ts";

export interface Outgoing {
  message: string;
  priority?: number;
  when_busy?: WhenBusy;
  response_schema?: Record<string, unknown> | null;
  /** The message's own key from the caller's, where one call sends several. */
  keyOf?: (key: string) => string;
  /** What the calling instance is to the receiver, where that is known. */
  relation?: Speaker;
}

/** Throws what the instance answers: `not_found`, `conflict`, `limit_reached`. */
export async function deliver(context: ToolContext, instanceId: string, outgoing: Outgoing): Promise<MessageView> {
  const { principal, relations, idempotency } = context;
  const relation = outgoing.relation ?? (relations ? relationTo(relations, instanceId) : null);
  const title =
    principal.instance !== null && relations && relation
      ? titleOf(relations.name, principal.instance, relation)
      : undefined;
  return unwrap(
    await context.instance(instanceId).send({
      message: outgoing.message,
      sender: principal.instance ?? "user",
      priority: outgoing.priority ?? 0,
      when_busy: outgoing.when_busy ?? "queue",
      response_schema: outgoing.response_schema ?? null,
      ...(title ? { sender_title: title } : {}),
      ...(context.trace ? { trace: context.trace } : {}),
      ...(context.job ? { job: context.job } : {}),
      audit: context.audit,
      ...(idempotency
        ? { idempotency: outgoing.keyOf ? { ...idempotency, key: outgoing.keyOf(idempotency.key) } : idempotency }
        : {}),
    }),
  );
}
