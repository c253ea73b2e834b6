/**
 * What others do with an instance: messages come in, and who wants to know reads, waits, subscribes or follows.
 * Everything is accepted in rows first; the housekeeping sees to what follows from them.
 */
import type { AuditedCall } from "../contracts/audited-call.ts";
import {
  type Followed,
  type GivenAnswer,
  isFinal,
  type MessageView,
  type Notification,
  type OutputPage,
  type OutputQuery,
  type Rest,
  type SendRequest,
} from "../contracts/instance.ts";
import type { Origin } from "../contracts/request-origin.ts";
import { err, ok, type Result } from "../platform/errors.ts";
import { recall, remember } from "../platform/idempotency.ts";
import { messageIdOf } from "../platform/ids.ts";
import type { Notifier } from "../platform/notifier.ts";
import { within } from "../platform/timeout.ts";
import { inTransaction } from "../platform/transaction.ts";
import type { Housekeeping } from "./housekeeping.ts";
import { restOf } from "./lifecycle/idle-deadline.ts";
import { end } from "./lifecycle/termination.ts";
import { type Cursor, follow } from "./reporting/live-stream.ts";
import type { MessageViews } from "./reporting/message-views.ts";
import { confirm } from "./reporting/report.ts";
import type { Reporter } from "./reporting/reporter.ts";
import type { StreamSubscribers } from "./reporting/stream-subscribers.ts";
import { auditCall } from "./store/audit-record.ts";
import { hasUnreported } from "./store/events.ts";
import { instanceRow } from "./store/instance-row.ts";
import { messagesOfTurn, senderOf } from "./store/messages.ts";
import { pageOf } from "./store/output.ts";
import { INSTANCE_REST, subscribe } from "./store/subscriptions.ts";
import type { Transcript } from "./store/transcript.ts";
import { clearPaused, requestCancel } from "./store/turns.ts";
import { accept, cancelQueued } from "./turn/inbox.ts";
import { answer } from "./turn/questions.ts";
import { onNotification } from "./turn/suspension.ts";
import type { TurnRunner } from "./turn/turn-runner.ts";

/** How long an answer waits for the report of it to arrive. */
const REPORT_PATIENCE_MS = 1_000;
/** How long a caller that interrupts is kept until the turn has stopped; it stops in any case. */
const INTERRUPT_PATIENCE_MS = 5_000;

export interface InstanceCallsParts {
  storage: DurableObjectStorage;
  transcript: Transcript;
  instanceId: string;
  runner: TurnRunner;
  housekeeping: Housekeeping;
  views: MessageViews;
  reporter: Reporter;
  /** Callers that wait for something to become final, and those that follow live. */
  notifier: Notifier;
  stream: StreamSubscribers;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

export class InstanceCalls {
  readonly #parts: InstanceCallsParts;

  constructor(parts: InstanceCallsParts) {
    this.#parts = parts;
  }

  get #sql(): SqlStorage {
    return this.#parts.storage.sql;
  }

  /** The registry has changed the limits, or has just made the instance: takes them over, and goes on with what there is to do. */
  async wake(): Promise<void> {
    const { storage, instanceId, runner, housekeeping, reporter } = this.#parts;
    const limits = await reporter.ask((orchestrator) => orchestrator.effectiveLimits(instanceId));
    confirm(storage.sql, 0, limits);
    clearPaused(storage.sql, Date.now());
    housekeeping.work();
    if (!runner.running) await housekeeping.rest();
  }

  stop({ force }: { force: boolean }): void {
    const { storage, instanceId, runner, housekeeping, notifier } = this.#parts;
    end(storage, instanceId, force, Date.now());
    if (force) runner.interrupt();
    notifier.notify();
    housekeeping.ended();
  }

  send(request: SendRequest): Result<MessageView> {
    const { storage, instanceId, runner, housekeeping, stream } = this.#parts;
    const accepted = accept(storage, instanceId, request, Date.now());
    if (!accepted.ok) return accepted;
    const { n, repeated } = accepted.value;
    if (repeated) return request.subscriber ? this.subscribe(n, request.subscriber) : this.view(n);
    if (request.when_busy === "interrupt") runner.interrupt();
    runner.startTurn();
    stream.notify();
    housekeeping.work("behind the answer");
    return this.view(n);
  }

  /** Something has happened in another object that a tool of this one may wait for. */
  onNotification(notification: Notification): void {
    const { storage, instanceId, runner, housekeeping } = this.#parts;
    runner.notify(notification.id);
    if (onNotification(storage, instanceId, notification.id, Date.now())) housekeeping.work();
  }

  answer(n: number, given: GivenAnswer): Result<{ question_id: string; answer: string }> {
    const { storage, instanceId, runner, housekeeping, stream } = this.#parts;
    const answered = answer(storage, instanceId, n, given, Date.now());
    if (answered.ok) {
      runner.notify(answered.value.question_id);
      stream.notify();
      housekeeping.work();
    }
    return answered;
  }

  async interrupt(reason: string, { idempotency, audit }: Origin = {}): Promise<Result<string[]>> {
    const { storage, instanceId, runner, housekeeping, notifier } = this.#parts;
    const sql = this.#sql;
    // A message that was accepted a moment ago may not have begun: beginning it now makes it one that can be stopped.
    housekeeping.work();
    const open = instanceRow(sql)?.open_n ?? null;
    const stopped = inTransaction(storage, (tx): Result<string[]> => {
      const known = recall<string[]>(tx, idempotency);
      if (known) return known;
      const messages = open !== null && requestCancel(tx, reason) ? messagesOfTurn(tx, open) : [];
      auditCall(tx, audit, Date.now());
      return remember(tx, idempotency, ok(messages.map((n) => messageIdOf(instanceId, n))), Date.now());
    });
    housekeeping.announce();
    if (!stopped.ok || open === null || !stopped.value.includes(messageIdOf(instanceId, open))) return stopped;
    runner.interrupt();
    housekeeping.work();
    const deadline = Date.now() + INTERRUPT_PATIENCE_MS;
    while (instanceRow(sql)?.open_n === open && Date.now() < deadline) await notifier.next(deadline - Date.now());
    return stopped;
  }

  async cancel(n: number, reason: string, audit?: AuditedCall): Promise<Result<MessageView>> {
    const { storage, instanceId, housekeeping, waitUntil } = this.#parts;
    const open = instanceRow(this.#sql)?.open_n ?? null;
    if (cancelQueued(storage, instanceId, n, reason, Date.now(), audit)) {
      waitUntil(housekeeping.committed());
    } else if (open !== null && messagesOfTurn(this.#sql, open).includes(n)) {
      const stopped = await this.interrupt(reason, { audit });
      if (!stopped.ok) return stopped;
    }
    return this.view(n);
  }

  /** Message `n` as it is now. `not_found`. */
  view(n: number): Result<MessageView> {
    return this.#parts.views.view(n);
  }

  /** Message `n` as soon as it is final or paused, at the latest after `waitMs`. */
  async message(n: number, waitMs: number): Promise<Result<MessageView>> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const view = this.view(n);
      const left = deadline - Date.now();
      // Waiting does not raise a cap.
      if (view.ok && (isFinal(view.value.state) || view.value.paused)) return this.#reported(n, view);
      // While the turn goes on, the next admission request carries the report.
      if (!view.ok || left <= 0) return view;
      await this.#parts.notifier.next(left);
    }
  }

  /** The view with its money up to date: a report that is under way is waited for a moment. */
  async #reported(n: number, view: Result<MessageView>): Promise<Result<MessageView>> {
    if (!hasUnreported(this.#sql)) return view;
    await within(this.#parts.reporter.report(), REPORT_PATIENCE_MS);
    return this.view(n);
  }

  subscribe(n: number, subscriber: string, sender?: string): Result<MessageView> {
    if (sender !== undefined && senderOf(this.#sql, n) !== sender) {
      const messageId = messageIdOf(this.#parts.instanceId, n);
      return err("forbidden", `${messageId} was not sent by ${sender}.`, { message_id: messageId });
    }
    const view = this.view(n);
    if (view.ok && !isFinal(view.value.state)) subscribe(this.#sql, n, subscriber);
    return view;
  }

  async rest(waitMs: number): Promise<Rest> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const rest = restOf(this.#sql, this.#parts.instanceId);
      const left = deadline - Date.now();
      if (rest.resting || rest.paused || left <= 0) return rest;
      await this.#parts.notifier.next(left);
    }
  }

  async subscribeToRest(subscriber: string): Promise<Rest> {
    const rest = await this.rest(0);
    if (!rest.resting && !rest.paused) subscribe(this.#sql, INSTANCE_REST, subscriber);
    return rest;
  }

  async follow(from: Cursor, waitMs: number): Promise<Followed & { resting: boolean }> {
    const { transcript, instanceId, stream } = this.#parts;
    const deadline = Date.now() + waitMs;
    for (;;) {
      const followed = follow({ sql: this.#sql, transcript, instanceId, live: stream.shown }, from);
      const left = deadline - Date.now();
      const instance = instanceRow(this.#sql);
      // From one that has ended nothing more comes.
      if (followed.events.length > 0 || left <= 0 || instance?.lifecycle === "terminated") {
        return { ...followed, resting: instance?.open_n == null && (instance?.queued ?? 0) === 0 };
      }
      await stream.next(left);
    }
  }

  output(query: OutputQuery): OutputPage {
    const { transcript, instanceId } = this.#parts;
    return pageOf(this.#sql, transcript, instanceId, query);
  }
}
