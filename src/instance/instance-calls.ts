/**
 * What others do with an instance that was born: messages come in, and whoever wants to know reads, waits, watches or follows.
 * Everything is accepted in rows first; the upkeep sees to what follows from them.
 */
import type { AuditedCall } from "../contracts/audited-call.ts";
import {
  type Followed,
  type GivenAnswer,
  isFinal,
  type MessageView,
  type News,
  type OutputPage,
  type OutputQuery,
  type Rest,
  type SendRequest,
} from "../contracts/instance.ts";
import type { Origin } from "../contracts/request-origin.ts";
import { err, ok, type Result, unwrap } from "../platform/errors.ts";
import { recall, remember } from "../platform/idempotency.ts";
import { messageIdOf } from "../platform/ids.ts";
import { inTransaction } from "../platform/transaction.ts";
import { type Waiters, within } from "../platform/waiters.ts";
import type { Upkeep } from "./housekeeping.ts";
import { restOf } from "./lifecycle/idle-deadline.ts";
import { type Cursor, follow } from "./reporting/live-stream.ts";
import { hasUnreported } from "./reporting/report.ts";
import type { Reporter } from "./reporting/reporter.ts";
import type { Readers } from "./reporting/stream-readers.ts";
import { recordCall } from "./store/audit-record.ts";
import { accept, cancelOpenTurn, cancelQueued, messagesOfTurn, viewOf } from "./store/inbox.ts";
import { selfOf, standingOf } from "./store/instance-row.ts";
import { pageOf } from "./store/output.ts";
import { answer } from "./store/questions.ts";
import { hear } from "./store/suspended-calls.ts";
import type { Transcript } from "./store/transcript.ts";
import { AT_REST, watch } from "./store/watchers.ts";
import type { TurnRunner } from "./turn/turn-runner.ts";

/** How long an answer waits for the registry to have heard of it. */
const REPORT_PATIENCE_MS = 1_000;
/** How long a caller that interrupts is kept until the turn has stopped; it stops in any case. */
const INTERRUPT_PATIENCE_MS = 5_000;

export interface ConversationParts {
  storage: DurableObjectStorage;
  transcript: Transcript;
  instanceId: string;
  runner: TurnRunner;
  upkeep: Upkeep;
  reporter: Reporter;
  /** Whoever waits for something to become final, and whoever follows live. */
  waiters: Waiters;
  readers: Readers;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

export class Conversation {
  readonly #parts: ConversationParts;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
  }

  get #sql(): SqlStorage {
    return this.#parts.storage.sql;
  }

  send(request: SendRequest): Result<MessageView> {
    const { storage, instanceId, runner, upkeep, readers } = this.#parts;
    const accepted = accept(storage, instanceId, request, Date.now());
    if (!accepted.ok) return accepted;
    const { n, repeated } = accepted.value;
    if (repeated) return request.watcher ? this.watch(n, request.watcher) : this.view(n);
    if (request.when_busy === "interrupt") runner.interrupt();
    runner.startTurn();
    readers.wake();
    upkeep.work("behind the answer");
    return this.view(n);
  }

  /** Another object has news that a tool of this one may wait for. */
  hear(news: News): void {
    const { storage, instanceId, runner, upkeep } = this.#parts;
    runner.heard(news.id);
    if (hear(storage, instanceId, news.id, Date.now())) upkeep.work();
  }

  answer(n: number, given: GivenAnswer): Result<{ question_id: string; answer: string }> {
    const { storage, instanceId, runner, upkeep, readers } = this.#parts;
    const answered = answer(storage, instanceId, n, given, Date.now());
    if (answered.ok) {
      runner.heard(answered.value.question_id);
      readers.wake();
      upkeep.work();
    }
    return answered;
  }

  async interrupt(reason: string, { idempotency, audit }: Origin = {}): Promise<Result<string[]>> {
    const { storage, instanceId, runner, upkeep, waiters } = this.#parts;
    const sql = this.#sql;
    // A message that was accepted a moment ago may not have begun: beginning it now makes it one that can be stopped.
    upkeep.work();
    const open = selfOf(sql)?.open_n ?? null;
    const stopped = inTransaction(storage, (tx): Result<string[]> => {
      const known = recall<string[]>(tx, idempotency);
      if (known) return known;
      const messages = open !== null && cancelOpenTurn(tx, reason) ? messagesOfTurn(tx, open) : [];
      recordCall(tx, audit, Date.now());
      return remember(tx, idempotency, ok(messages.map((n) => messageIdOf(instanceId, n))), Date.now());
    });
    upkeep.announce();
    if (!stopped.ok || open === null || !stopped.value.includes(messageIdOf(instanceId, open))) return stopped;
    runner.interrupt();
    upkeep.work();
    const deadline = Date.now() + INTERRUPT_PATIENCE_MS;
    while (selfOf(sql)?.open_n === open && Date.now() < deadline) await waiters.next(deadline - Date.now());
    return stopped;
  }

  async cancel(n: number, reason: string, audit?: AuditedCall): Promise<Result<MessageView>> {
    const { storage, instanceId, upkeep, waitUntil } = this.#parts;
    const open = selfOf(this.#sql)?.open_n ?? null;
    if (cancelQueued(storage, instanceId, n, reason, Date.now(), audit)) {
      waitUntil(upkeep.committed());
    } else if (open !== null && messagesOfTurn(this.#sql, open).includes(n)) {
      const stopped = await this.interrupt(reason, { audit });
      if (!stopped.ok) return stopped;
    }
    return this.view(n);
  }

  /** Message `n` as it stands now. */
  view(n: number): Result<MessageView> {
    const { transcript, instanceId, runner } = this.#parts;
    const view = viewOf(this.#sql, transcript, instanceId, n);
    const self = selfOf(this.#sql);
    if (view) {
      // Only this object knows: nothing is written for a wait that is over in a moment, as a rule.
      const open = view.state === "running" || view.state === "waiting";
      const held = open && runner.held;
      const shown: MessageView = held
        ? { ...view, state: "waiting", waiting_for: { reason: "gate", until: null } }
        : view;
      return ok(self ? { ...shown, funds: standingOf(self).funds } : shown);
    }
    return err("not_found", `There is no message ${messageIdOf(instanceId, n)}.`, {
      message_id: messageIdOf(instanceId, n),
    });
  }

  /** Message `n` as soon as it is final or paused, at the latest after `waitMs`. */
  async message(n: number, waitMs: number): Promise<Result<MessageView>> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const view = this.view(n);
      const left = deadline - Date.now();
      // Waiting does not raise a cap.
      if (!view.ok || isFinal(view.value.state) || view.value.paused || left <= 0) return this.#reported(n, view);
      await this.#parts.waiters.next(left);
    }
  }

  /** The view with the money as it stands after it: a report that is on its way is waited for a moment. */
  async #reported(n: number, view: Result<MessageView>): Promise<Result<MessageView>> {
    if (!view.ok || !hasUnreported(this.#sql)) return view;
    await within(this.#parts.reporter.report(), REPORT_PATIENCE_MS);
    return this.view(n);
  }

  watch(n: number, watcher: string): Result<MessageView> {
    const view = this.view(n);
    if (view.ok && !isFinal(view.value.state)) watch(this.#sql, n, watcher);
    return view;
  }

  /** What whoever watches message `n`, or the instance's rest, is told; and whether more can follow. */
  newsOf(n: number): { news: News; last: boolean } {
    if (n === AT_REST) return { news: { id: this.#parts.instanceId }, last: true };
    const message = unwrap(this.view(n));
    return { news: { id: message.message_id, message }, last: isFinal(message.state) };
  }

  async rest(waitMs: number): Promise<Rest> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const rest = restOf(this.#sql, this.#parts.instanceId);
      const left = deadline - Date.now();
      if (rest.resting || left <= 0) return rest;
      await this.#parts.waiters.next(left);
    }
  }

  async watchRest(watcher: string): Promise<Rest> {
    const rest = await this.rest(0);
    if (!rest.resting) watch(this.#sql, AT_REST, watcher);
    return rest;
  }

  async follow(from: Cursor, waitMs: number): Promise<Followed & { resting: boolean }> {
    const { transcript, instanceId, readers } = this.#parts;
    const deadline = Date.now() + waitMs;
    for (;;) {
      const followed = follow({ sql: this.#sql, transcript, instanceId, live: readers.shown }, from);
      const left = deadline - Date.now();
      const self = selfOf(this.#sql);
      // From one that has ended nothing more comes.
      if (followed.events.length > 0 || left <= 0 || self?.ended === 2) {
        return { ...followed, resting: self?.open_n == null && (self?.queued ?? 0) === 0 };
      }
      await readers.next(left);
    }
  }

  output(query: OutputQuery): OutputPage {
    const { transcript, instanceId } = this.#parts;
    return pageOf(this.#sql, transcript, instanceId, query);
  }
}
