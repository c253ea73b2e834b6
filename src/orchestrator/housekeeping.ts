/**
 * What an Orchestrator does by itself: delivers its outbox and webhooks, terminates idle instances, deletes what is past its
 * retention, and archives old rows. One alarm wakes it for all of that, and its time is computed from the rows.
 */
import type { AuditedCall } from "../contracts/audited-call.ts";
import type { Alarm } from "../platform/alarm.ts";
import type { Result } from "../platform/errors.ts";
import { isJobId } from "../platform/ids.ts";
import { describe, type Log } from "../platform/log.ts";
import { within } from "../platform/timeout.ts";
import { inTransaction, type Tx } from "../platform/transaction.ts";
import type { Archive } from "./archive/archive.ts";
import type { WebhookDelivery } from "./delivery/webhook-delivery.ts";
import { forgetConversation, nextOutlived, outlived, removeInstance } from "./registry/deletion.ts";
import type { EffectivePolicy } from "./registry/effective-policy.ts";
import { nextOutlivedJob, outliveJobs, removeJob } from "./registry/jobs.ts";
import { endIdle, nextUnused, unusedSince } from "./registry/termination.ts";
import { putOffIdleDeadline } from "./store/instance-rows.ts";
import { dequeue, enqueue, type Outbox, outboxOf, type Receivers } from "./store/outbox.ts";

/** A deletion that was not finished within its request is continued after this time. */
const ERASE_RETRY_MS = 60_000;
/** A duty that failed is tried again after this time. */
const DUTY_RETRY_MS = 60_000;
/** How long the alarm handler waits for what it has started, which goes on in any case. */
const ALARM_PATIENCE_MS = 5_000;
/** How long a call waits for its change to be delivered. After that the outbox goes on by itself. */
const DELIVERY_PATIENCE_MS = 2_000;

export interface HousekeepingParts {
  storage: DurableObjectStorage;
  alarm: Alarm;
  policy: EffectivePolicy;
  archive: Archive;
  webhooks: WebhookDelivery;
  receivers: Receivers;
  retentionDays: number;
  log: Log;
  /** Something was logged. */
  onLogged: () => void;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** A task of the alarm. */
interface Duty {
  name: string;
  /** When there is something to do, in ms since the epoch; null: nothing. */
  due: () => number | null;
  /** Does what is due. */
  run: (now: number) => Promise<void> | void;
}

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  readonly #outbox: Outbox;
  /** The outbox comes last, since the others enqueue into it. */
  readonly #duties: readonly Duty[];
  /** When to try a failed duty again, in ms since the epoch. */
  readonly #retryAt = new Map<string, number>();

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
    const { storage, archive, webhooks, receivers, log, waitUntil } = parts;
    const { sql } = storage;
    this.#outbox = outboxOf({
      storage,
      receivers,
      erased: (id) => this.#removed(id),
      log,
      onIdle: () => this.setAlarm(),
    });
    this.#duties = [
      { name: "idle time", due: () => nextUnused(sql), run: (now) => this.#endUnused(now) },
      {
        name: "retention",
        due: () => nextOutlived(sql),
        run: (now) => {
          for (const id of outlived(sql, now)) this.#commit((tx) => forgetConversation(tx, id, now));
        },
      },
      {
        name: "retention of jobs",
        due: () => nextOutlivedJob(sql),
        run: (now) => this.#commit((tx) => outliveJobs(tx, now)),
      },
      // Receivers can be slow: not even the next alarm waits for them.
      { name: "webhooks", due: () => webhooks.nextDue, run: () => waitUntil(webhooks.deliverDue()) },
      { name: "archive", due: () => archive.due, run: (now) => archive.move(now) },
      { name: "outbox", due: () => this.#outbox.nextDue, run: () => this.#outbox.deliverDue() },
    ];
  }

  /** The alarm has gone off. */
  async onAlarm(): Promise<void> {
    const { alarm, onLogged } = this.#parts;
    alarm.fired();
    const now = Date.now();
    const running: Promise<void>[] = [];
    for (const duty of this.#duties) if ((this.#dueOf(duty) ?? Infinity) <= now) running.push(this.#do(duty, now));
    onLogged();
    this.setAlarm();
    await within(Promise.all(running), ALARM_PATIENCE_MS);
    this.setAlarm();
  }

  /** Never rejects: a duty that fails is put off, and does not keep the others from being done. */
  async #do({ name, run }: Duty, now: number): Promise<void> {
    try {
      await run(now);
    } catch (error) {
      this.#retryAt.set(name, Date.now() + DUTY_RETRY_MS);
      this.#parts.log.error("housekeeping.failed", { duty: name, error: describe(error) });
    }
  }

  #dueOf({ name, due }: Duty): number | null {
    const at = due();
    return at === null ? null : Math.max(at, this.#retryAt.get(name) ?? 0);
  }

  #endUnused(now: number): void {
    const { storage, policy, retentionDays } = this.#parts;
    for (const id of unusedSince(storage.sql, now)) {
      this.#commit((tx) => {
        const idle = endIdle(tx, id, policy.idleTimeoutMs(id), retentionDays, now);
        if (!idle.ended) putOffIdleDeadline(tx, id, idle.again);
      });
    }
  }

  /** Delivers the outbox, and sets the alarm for the rest. */
  deliverOutbox(): Promise<void> {
    const delivered = this.#outbox.deliverDue();
    this.setAlarm();
    return delivered;
  }

  /** The same, and waits for it a moment. */
  async deliverOutboxSoon(): Promise<void> {
    await within(this.deliverOutbox(), DELIVERY_PATIENCE_MS);
  }

  /** Wakes these instances, without waiting for it. */
  wake(instanceIds: readonly string[]): void {
    if (instanceIds.length === 0) return;
    this.#commit((tx) => {
      for (const id of instanceIds) enqueue(tx, id, "wake", Date.now());
    });
    this.#parts.waitUntil(this.deliverOutbox());
  }

  /**
   * Has an instance or a job delete everything of its own, and then deletes its record. Enqueued before it is tried, so that the
   * alarm finishes what this call does not.
   */
  async erase<Deleted>(
    id: string,
    object: { erase(): Promise<Result<Deleted>> },
    audit: AuditedCall | undefined,
  ): Promise<Result<Deleted>> {
    const retryAt = Date.now() + ERASE_RETRY_MS;
    this.#commit((tx) => enqueue(tx, id, "erase", retryAt, audit));
    this.#parts.alarm.notAfter(retryAt);
    const erased = await object.erase();
    if (erased.ok) this.#removed(id);
    else this.#commit((tx) => dequeue(tx, id, "erase"));
    this.setAlarm();
    return erased;
  }

  /** An object has deleted everything of its own. */
  #removed(id: string): void {
    const remove = isJobId(id) ? removeJob : removeInstance;
    this.#commit((tx) => remove(tx, id, Date.now()));
    this.#parts.onLogged();
  }

  /** Sets the alarm to the next time at which there is something to do. */
  setAlarm(): void {
    const { alarm } = this.#parts;
    const times = this.#duties.map((duty) => this.#dueOf(duty)).filter((time) => time !== null);
    if (times.length === 0) alarm.clear();
    else alarm.set(Math.min(...times));
  }

  #commit<T>(work: (tx: Tx) => T): T {
    return inTransaction(this.#parts.storage, work);
  }
}
