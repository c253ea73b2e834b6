/**
 * The inbox: messages from their acceptance until their turn.
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import type { SendRequest } from "../../contracts/instance.ts";
import { terminated } from "../../contracts/refusals.ts";
import { err, type Failure, ok, type Result } from "../../platform/errors.ts";
import { otherRequest } from "../../platform/idempotency.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { auditCall } from "../store/audit-record.ts";
import { emit } from "../store/events.ts";
import { countAccepted, countDequeued, instanceRow } from "../store/instance-row.ts";
import * as messages from "../store/messages.ts";
import { markDue, markRestDue, subscribe } from "../store/subscriptions.ts";
import { requestCancel } from "../store/turns.ts";
import { wakeEarly } from "./suspension.ts";

/** Messages that wait for their turn, at most: a caller that outruns an instance this far has lost count. */
const MAX_QUEUED = 10_000;
/** Passive messages that wait for a turn to be read in, at most. */
const MAX_PASSIVE = 1_000;

/** Above every priority that a caller can give: the message that interrupted a turn comes right after it. */
const NEXT_PRIORITY = 1_000_000;

/** Message `n` is in the inbox. `repeated`: it was there before, under the same key, and this call changed nothing. */
export interface Accepted {
  n: number;
  repeated: boolean;
}

/** Takes a message in, all or nothing. The caller arms the wake-up before it answers. */
export function accept(
  storage: DurableObjectStorage,
  instanceId: string,
  request: SendRequest,
  now: number,
): Result<Accepted> {
  return inTransaction(storage, (tx): Result<Accepted> => {
    const { idempotency } = request;
    const known = idempotency && messages.messageByKey(tx, idempotency.key);
    if (known) {
      return known.body_hash === idempotency.body_hash
        ? ok({ n: known.n, repeated: true })
        : otherRequest(idempotency.key);
    }
    const instance = instanceRow(tx);
    if (instance?.lifecycle !== "active") return terminated(instanceId);
    const busy = instance.open_n !== null || instance.queued > 0;
    const passive = request.passive === true;
    if (!passive && busy && request.when_busy === "reject") {
      return err(
        "conflict",
        `The instance ${instanceId} is at work and the message was not taken (when_busy is reject). Send it later, or with when_busy queue, steer or interrupt.`,
        { instance_id: instanceId, queue_depth: instance.queued },
      );
    }
    const waiting = passive ? messages.countPassive(tx) : instance.queued;
    if (waiting >= (passive ? MAX_PASSIVE : MAX_QUEUED)) {
      return err(
        "limit_reached",
        `${waiting} ${passive ? "passive messages" : "messages"} are queued on ${instanceId}. Wait for some of them before sending more.`,
        { queue_depth: waiting },
      );
    }
    const n = instance.next_n;
    messages.insertMessage(tx, {
      n,
      sender: request.sender,
      content: request.message,
      createdAt: now,
      responseSchema: request.response_schema,
      priority: request.when_busy === "interrupt" ? NEXT_PRIORITY : request.priority,
      steer: request.when_busy === "steer",
      passive,
      idempotency,
      job: request.job,
      senderTitle: request.sender_title,
      trace: request.trace,
    });
    if (request.subscriber) subscribe(tx, n, request.subscriber);
    countAccepted(tx, n, passive ? 0 : 1, now);
    if (request.when_busy === "interrupt" && !passive) requestCancel(tx, "another message interrupted it");
    if (request.when_busy === "steer" && !passive) wakeEarly(tx, instanceId, now);
    emit(tx, now, "message.queued", { message_id: messageIdOf(instanceId, n), sender: request.sender });
    auditCall(tx, request.audit, now, messageIdOf(instanceId, n));
    return ok({ n, repeated: false });
  });
}

/** Takes message `n` out of the queue. Returns false when it is not in it. */
export function cancelQueued(
  storage: DurableObjectStorage,
  instanceId: string,
  n: number,
  reason: string,
  now: number,
  audit?: AuditedCall,
): boolean {
  return inTransaction(storage, (tx) => {
    const error: Failure = { code: "cancelled", message: `The message was cancelled before its turn: ${reason}.` };
    const taken = messages.cancelQueued(tx, n, error, now);
    if (!taken) return false;
    countDequeued(tx, taken.passive ? 0 : 1, now);
    emit(tx, now, "message.cancelled", { message_id: messageIdOf(instanceId, n) });
    auditCall(tx, audit, now, messageIdOf(instanceId, n));
    markDue(tx, n, now);
    markRestDue(tx, now);
    return true;
  });
}
