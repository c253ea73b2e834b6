/**
 * What an instance does unasked: it sees to it that its turn goes on, tells the registry and its subscribers, brings its files
 * to where they outlive it, and ends when it has not been used for too long. One alarm wakes it for all of that; what the alarm is
 * set for follows from the rows.
 */

import type { Subscriber } from "../contracts/instance.ts";
import type { CallOutcome } from "../contracts/model-call.ts";
import type { Alarm } from "../platform/alarm.ts";
import { Deliveries } from "../platform/delivery.ts";
import { describe, type Log } from "../platform/log.ts";
import type { Notifier } from "../platform/notifier.ts";
import { within } from "../platform/timeout.ts";
import type { InstanceFiles } from "./instance-files.ts";
import { idleDeadline, isOverdue, isResting } from "./lifecycle/idle-deadline.ts";
import type { MessageViews } from "./reporting/message-views.ts";
import { checkHealth } from "./reporting/report.ts";
import type { Reporter } from "./reporting/reporter.ts";
import type { StreamSubscribers } from "./reporting/stream-subscribers.ts";
import { hasUnreported } from "./store/events.ts";
import { type InstanceRow, instanceRow } from "./store/instance-row.ts";
import { SUBSCRIPTION_POLICY, SUBSCRIPTIONS, type SubscriptionRow, setNotified } from "./store/subscriptions.ts";
import { isStop } from "./turn/next-action.ts";
import type { TurnRunner } from "./turn/turn-runner.ts";

/**
 * While a turn is at work the alarm fires this often: it keeps the object awake, and after a crash it starts the turn again, which
 * so takes no longer than this.
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
  /** Callers that wait for something to become final, and those that follow live. */
  notifier: Notifier;
  stream: StreamSubscribers;
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
    // A turn that waits for something outside, or for a time, is left alone.
    if (!runner.running && isStop(runner.next)) {
      this.announce();
      return;
    }
    alarm.notAfter(Date.now() + HEARTBEAT_MS);
    if (runner.running) waitUntil(reporter.report());
    // The first model call takes about as long to begin as its message to be taken in: the caller does not wait for it.
    waitUntil(start === "now" ? runner.ensureRunning() : nextTask().then(() => runner.ensureRunning()));
  }

  /** Reports what was put on record without a turn to follow; the alarm does it if this object dies before. */
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

  /** Something is committed that concerns the registry, subscribers and waiting callers. Resolves when the registry has it. */
  async committed(call?: CallOutcome): Promise<void> {
    const { runner, reporter, notifier, stream, waitUntil } = this.#parts;
    stream.notify();
    const reported = reporter.report(call);
    const notified = this.#notifications.deliverDue();
    waitUntil(notified);
    await reported;
    notifier.notify();
    if (!runner.running) waitUntil(notified.then(() => this.#arm()));
  }

  #armForNotifications(): void {
    if (this.#notifications.underWay === 0) this.#arm();
  }

  /** Nothing is left to do: an idle instance is woken by nothing but its deadline. */
  async rest(): Promise<void> {
    const { storage } = this.#parts;
    checkHealth(storage, Date.now());
    await this.inform();
    this.#arm();
  }

  /** Tells the registry and the subscribers. What they did not take stays in the rows. */
  async inform(): Promise<void> {
    await Promise.all([this.#parts.reporter.report(), this.#notifications.deliverDue()]);
  }

  /** The runner has stopped with a turn open. Until that is reported the heartbeat's alarm stays. */
  async waiting(): Promise<void> {
    await this.#parts.reporter.report();
    this.#arm();
  }

  /** An instance that is first used without work, by a look at its output or its files, has an idle time as well. */
  armForIdleness(): void {
    const { storage, alarm } = this.#parts;
    const deadline = idleDeadline(storage.sql);
    if (deadline !== null && alarm.at === null) alarm.set(deadline);
  }

  /** The alarm has gone off: everything that is due is done, whatever the runner does. */
  async onAlarm(): Promise<void> {
    const { storage, alarm, runner, reporter, files } = this.#parts;
    alarm.fired();
    checkHealth(storage, Date.now());
    if (isOverdue(storage.sql, Date.now())) runner.interrupt();
    this.work();
    if (runner.running) {
      await Promise.all([this.#notifications.deliverDue(), reporter.report()]);
      return this.#arm();
    }
    await this.inform();
    if (await this.#expire()) return;
    if (files.isErasing || !(await this.#keepFiles())) return;
    this.#arm();
  }

  /** Sets the alarm to the first time at which there is something to do, by all of the rows; none: no alarm. */
  #arm(): void {
    const { storage, alarm, runner, files } = this.#parts;
    const { sql } = storage;
    const now = Date.now();
    const instance = instanceRow(sql);
    const times = [
      this.#runnerTime(instance, now),
      this.#notifications.nextDue,
      hasUnreported(sql) ? now + REPORT_RETRY_MS : null,
      idleDeadline(sql, instance),
      instance?.lifecycle === "terminated" && files.needsUpload ? now : null,
    ].filter((time) => time !== null);
    if (times.length === 0) alarm.clear();
    // A working turn keeps an alarm that comes sooner: moving it is a write.
    else if (runner.atWork) alarm.notAfter(Math.min(...times));
    else alarm.set(Math.min(...times));
  }

  /** When the turn has to be looked at again, in ms since the epoch; null: when something from outside changes it. */
  #runnerTime(instance: InstanceRow | undefined, now: number): number | null {
    const { runner } = this.#parts;
    if (runner.atWork) return now + HEARTBEAT_MS;
    if (!instance || isResting(instance)) return null;
    const action = runner.next;
    if (!isStop(action)) return now + HEARTBEAT_MS;
    return action.kind === "wait" || action.kind === "suspend" ? action.until : null;
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
