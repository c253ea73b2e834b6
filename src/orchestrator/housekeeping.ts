/**
 * What an Orchestrator does unasked: it delivers what its outbox owes, ends instances that nobody uses, lets go of what has
 * outlived its time, and moves old rows away. One alarm wakes it for all of that; its time follows from the rows.
 */
import type { AuditedCall } from "../contracts/audited-call.ts";
import type { Result } from "../platform/errors.ts";
import { isJobId } from "../platform/ids.ts";
import { within } from "../platform/waiters.ts";
import type { Archive } from "./archive/archive.ts";
import type { Courier } from "./delivery/webhook-delivery.ts";
import { nextWebhookDue } from "./delivery/webhooks.ts";
import { nextOutlivedJob, outliveJobs, removeJob } from "./registry/jobs.ts";
import type { Terms } from "./registry/policy.ts";
import * as registry from "./registry/registry.ts";
import { idleDeadline } from "./registry/tree.ts";
import { deliver, forgive, nextDue, owe, type Receivers } from "./store/outbox.ts";

/** The reason in the record of an instance that nobody used for too long. */
export const IDLE_TIMEOUT = "idle timeout";
/** A deletion that its caller's request did not finish goes on after this time. */
const ERASE_RETRY_MS = 60_000;
/** How long a call waits for instances to take the word of its change; the outbox goes on by alarm after it. */
const DELIVERY_PATIENCE_MS = 2_000;

export interface UpkeepParts {
  storage: DurableObjectStorage;
  terms: Terms;
  archive: Archive;
  courier: Courier;
  receivers: Receivers;
  retentionDays: number;
  /** Something was logged: whoever follows is told. */
  logged: () => void;
  /** Keeps the object awake until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

export class Upkeep {
  readonly #parts: UpkeepParts;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** The alarm has gone off. */
  async onAlarm(): Promise<void> {
    const { storage, archive, courier, logged, waitUntil } = this.#parts;
    const now = Date.now();
    this.#endUnused(now);
    for (const id of registry.outlived(storage.sql, now)) registry.forget(storage.sql, id, now);
    outliveJobs(storage, now);
    logged();
    // Nobody waits for receivers of webhooks, not the next alarm either.
    waitUntil(courier.deliver().then(() => this.#rearm()));
    await archive.move(now);
    await this.deliver();
  }

  #endUnused(now: number): void {
    const { storage, terms, retentionDays } = this.#parts;
    const { sql } = storage;
    for (const id of registry.unusedSince(sql, now)) {
      const due = idleDeadline(sql, id, terms.idleTimeoutMs(id), now);
      if (due !== null && due > now) registry.putOff(sql, id, due);
      else registry.terminate(storage, { instance_id: id, force: false, reason: IDLE_TIMEOUT }, retentionDays, now);
    }
  }

  /** Delivers what the outbox owes. The alarm is armed before it, so what this object leaves undone is done later. */
  async deliver(): Promise<void> {
    const { storage, receivers } = this.#parts;
    await deliver(
      storage.sql,
      receivers,
      () => Date.now(),
      (id) => this.#removed(id),
    );
    await this.arm();
  }

  /** Arms the alarm and delivers what the outbox owes, for a moment in front of the caller and then behind it. */
  async deliverSoon(): Promise<void> {
    await this.arm();
    await within(this.deliver(), DELIVERY_PATIENCE_MS);
  }

  /** Wakes these instances, behind whoever asks for it. */
  async wake(instanceIds: readonly string[]): Promise<void> {
    if (instanceIds.length === 0) return;
    for (const id of instanceIds) owe(this.#parts.storage.sql, id, "wake", Date.now());
    await this.arm();
    this.#parts.waitUntil(this.deliver());
  }

  /**
   * Has an instance or a job delete everything of its own, and then its record. Owed before it is tried: what this call leaves
   * undone, the alarm does.
   */
  async erase<Deleted>(
    id: string,
    object: { erase(): Promise<Result<Deleted>> },
    audit: AuditedCall | undefined,
  ): Promise<Result<Deleted>> {
    const { sql } = this.#parts.storage;
    owe(sql, id, "erase", Date.now() + ERASE_RETRY_MS, audit);
    await this.arm();
    const erased = await object.erase();
    if (erased.ok) this.#removed(id);
    else forgive(sql, id, "erase");
    return erased;
  }

  /** An object has deleted everything of its own. */
  #removed(id: string): void {
    const remove = isJobId(id) ? removeJob : registry.remove;
    remove(this.#parts.storage, id, Date.now());
    this.#parts.logged();
  }

  /** Sees to it that the alarm goes off when there is something to do, at the latest. */
  async arm(): Promise<void> {
    const { storage } = this.#parts;
    const due = this.#next;
    if (due === null) return;
    const armed = await storage.getAlarm();
    if (armed === null || armed > due) await storage.setAlarm(due);
  }

  /** The same once something is done for which the alarm was armed: it is not left to wake this object for nothing. */
  async #rearm(): Promise<void> {
    const { storage } = this.#parts;
    const due = this.#next;
    await (due === null ? storage.deleteAlarm() : storage.setAlarm(due));
  }

  /** When this object has something to do by itself, in ms since the epoch, or null. */
  get #next(): number | null {
    const { storage, archive } = this.#parts;
    const { sql } = storage;
    const times = [
      nextDue(sql),
      nextWebhookDue(sql),
      registry.nextUnused(sql),
      registry.nextOutlived(sql),
      nextOutlivedJob(sql),
      archive.due,
    ];
    const known = times.filter((time) => time !== null);
    return known.length === 0 ? null : Math.min(...known);
  }
}
