/**
 * What an instance does unasked: it sees to it that its turn goes on, tells the registry and its subscribers, brings its files
 * to where they outlive it, and ends when nobody has used it for too long. One alarm wakes it for all of that; what the alarm is
 * set for follows from the rows.
 */

import type { Subscriber } from "../contracts/instance.ts";
import type { CallOutcome } from "../contracts/model-call.ts";
import type { Alarm } from "../platform/alarm.ts";
import { Deliveries } from "../platform/delivery.ts";
import { describe, type Log } from "../platform/log.ts";
import { type Waiters, within } from "../platform/waiters.ts";
import type { InstanceFiles } from "./instance-files.ts";
import { idleDeadline, isOverdue, isResting } from "./lifecycle/idle-deadline.ts";
import { hasEnded } from "./lifecycle/termination.ts";
import type { MessageViews } from "./reporting/message-views.ts";
import { checkHealth } from "./reporting/report.ts";
import type { Reporter } from "./reporting/reporter.ts";
import type { Readers } from "./reporting/stream-readers.ts";
import { hasUnreported } from "./store/events.ts";
import { instanceRow } from "./store/instance-row.ts";
import { SUBSCRIPTION_POLICY, SUBSCRIPTIONS, type SubscriptionRow, setNotified } from "./store/subscriptions.ts";
import type { TurnRunner } from "./turn/turn-runner.ts";

/**
 * While a turn is open the alarm beats this often: it keeps the object awake, and after a crash it is what starts the
 * turn again, so nobody waits longer than this for that.
 */
const HEARTBEAT_MS = 10_000;
/** A report that the registry did not take is tried again after this time. */
export const REPORT_RETRY_MS = 5_000;
/** Files that could not be kept are tried again after this time. */
const KEEP_RETRY_MS = 30_000;
/** A notification that was taken is written down with the report that is under way, if that is over so soon. */
const COMMIT_PATIENCE_MS = 1_000;

export interface HousekeepingParts {
  storage: DurableObjectStorage;
  instanceId: string;
  alarm: Alarm;
  runner: TurnRunner;
  files: InstanceFiles;
  reporter: Reporter;
  /** Whoever waits for something to become final, and whoever follows live. */
  waiters: Waiters;
  readers: Readers;
  views: MessageViews;
  subscriberOf: (id: string) => Subscriber;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
  log: Log;
}

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  readonly #notifications: Deliveries<SubscriptionRow, boolean>;

  constructor(parts: HousekeepingParts) {
    const { storage, views, subscriberOf, reporter, log } = parts;
    this.#parts = parts;
    this.#notifications = new Deliveries<SubscriptionRow, boolean>({
      storage,
      table: SUBSCRIPTIONS,
      policy: SUBSCRIPTION_POLICY,
      send: async ({ n, subscriber }) => {
        const { notification, last } = views.notificationOf(n);
        const reported = reporter.current;
        await subscriberOf(subscriber).notify(notification);
        // The report writes something of its own at its end: the two are one commit then.
        await within(reported, COMMIT_PATIENCE_MS);
        return last;
      },
      onDelivered: setNotified,
      onFailed: ({ subscriber }, error) => log.warning("notification.failed", { subscriber, error: describe(error) }),
      onIdle: () => this.#armForNotifications(),
    });
  }

  /** Starts the runner if there is work, with the alarm armed before it: from then on the work survives this object. */
  work(start: "now" | "behind the answer" = "now"): void {
    const { storage, alarm, runner, reporter, waitUntil } = this.#parts;
    const instance = instanceRow(storage.sql);
    if (!instance || isResting(instance)) return;
    alarm.notAfter(Date.now() + HEARTBEAT_MS);
    if (runner.running) waitUntil(reporter.report());
    // The first model call takes about as long to begin as its message to be taken in: the caller does not wait for it.
    waitUntil(start === "now" ? runner.ensureRunning() : nextTask().then(() => runner.ensureRunning()));
  }

  /** What was put on record without a turn to follow goes to the registry: at once, and by the alarm if this object dies before. */
  announce(): void {
    const { storage, alarm, runner, reporter, waitUntil } = this.#parts;
    if (!hasUnreported(storage.sql)) return;
    if (!runner.running) alarm.notAfter(Date.now() + REPORT_RETRY_MS);
    waitUntil(runner.running ? reporter.report() : this.rest());
  }

  /** The instance has ended, or will after its turn. */
  ended(): void {
    const { alarm, files, waitUntil } = this.#parts;
    this.work();
    if (files.needsUpload) alarm.notAfter(Date.now());
    waitUntil(this.committed());
  }

  /** Something is committed that the registry and whoever waits have to hear of. Resolves when the registry has. */
  async committed(call?: CallOutcome): Promise<void> {
    const { reporter, waiters, readers, waitUntil } = this.#parts;
    readers.wake();
    const reported = reporter.report(call);
    waitUntil(this.#notify());
    await reported;
    waiters.wake();
  }

  /** Notifies subscribers. What they did not take, the alarm brings again. */
  async #notify(): Promise<void> {
    await this.#notifications.deliverDue();
    this.#armForNotifications();
  }

  #armForNotifications(): void {
    const { alarm, runner } = this.#parts;
    if (this.#notifications.underWay > 0) return;
    const due = this.#notifications.nextDue;
    if (due !== null) alarm.notAfter(due);
    else if (!runner.running) this.#armForRest();
  }

  /** Nothing is left to do: an idle instance is woken by nothing but its deadline. */
  async rest(): Promise<void> {
    const { storage } = this.#parts;
    checkHealth(storage, Date.now());
    await this.inform();
    this.#armForRest();
  }

  /** Tells the registry and the subscribers. What they did not take stays in the rows. */
  async inform(): Promise<void> {
    await Promise.all([this.#parts.reporter.report(), this.#notify()]);
  }

  /** The runner has stopped and wants to go on at `time` (ms since the epoch); null: it is woken by what it waits for. */
  async wakeAt(time: number | null): Promise<void> {
    const { alarm, reporter } = this.#parts;
    // What a subscriber did not take is brought again before that.
    const due = [time, this.#notifications.nextDue].filter((at) => at !== null);
    if (due.length > 0) alarm.set(Math.min(...due));
    else alarm.clear();
    await reporter.report();
  }

  /** Whoever is used for the first time without work, by a look at its output or its files, has an idle time as well. */
  armForIdleness(): void {
    const { storage, alarm } = this.#parts;
    const deadline = idleDeadline(storage.sql);
    if (deadline !== null && alarm.at === null) alarm.set(deadline);
  }

  /** The alarm has gone off. */
  async onAlarm(): Promise<void> {
    const { storage, alarm, runner, files } = this.#parts;
    alarm.fired();
    checkHealth(storage, Date.now());
    if (isOverdue(storage.sql, Date.now())) runner.interrupt();
    this.work();
    if (runner.running) return;
    if (await this.#expire()) return;
    if (files.isErasing || !(await this.#keepFiles())) return;
    await this.rest();
  }

  /** While somebody has yet to hear of something, the heartbeat's alarm stays: it is what brings it to them after a crash. */
  #armForRest(): void {
    const { storage, alarm, files } = this.#parts;
    const { sql } = storage;
    if (this.#notifications.nextDue !== null || hasUnreported(sql) || instanceRow(sql)?.open_n !== null) return;
    const deadline = idleDeadline(sql);
    if (deadline !== null) alarm.set(deadline);
    else if (files.needsUpload) alarm.notAfter(Date.now());
    else if (hasEnded(sql)) alarm.clear();
  }

  /** Ends the instance if its idle time is over and the registry agrees. Returns whether it was asked. */
  async #expire(): Promise<boolean> {
    const { storage, instanceId, alarm, reporter, log } = this.#parts;
    const deadline = idleDeadline(storage.sql);
    if (deadline === null || deadline > Date.now()) return false;
    try {
      await reporter.report();
      const answer = await reporter.ask((orchestrator) => orchestrator.expire(instanceId));
      if (!answer.expired) alarm.set(answer.again);
    } catch (error) {
      log.warning("expire.failed", { error: describe(error) });
      alarm.set(Date.now() + REPORT_RETRY_MS);
    }
    return true;
  }

  /** Keeps what has to be kept. Returns whether nothing is left of it. */
  async #keepFiles(): Promise<boolean> {
    const { alarm, files } = this.#parts;
    if (!files.needsUpload) return true;
    await files.keep();
    if (!files.needsUpload) return true;
    // After a failure, or while an upload that began before the end is under way.
    if (!files.isErasing) alarm.set(Date.now() + KEEP_RETRY_MS);
    return false;
  }
}

function nextTask(): Promise<void> {
  return new Promise((task) => setTimeout(task, 0));
}
