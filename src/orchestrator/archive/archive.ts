/**
 * The archive: old events and ledger entries are moved to R2 together (event-archive.ts, ledger-archive.ts).
 */
import type { Config } from "../../contracts/config.ts";
import { describe, type Log } from "../../platform/log.ts";
import { archiveEvents, nextArchivalDue, retentionStart } from "./event-archive.ts";
import { archiveEntries } from "./ledger-archive.ts";

/** After a failure of R2 the next try is so much later. */
const RETRY_MS = 10 * 60_000;

export class Archive {
  readonly #storage: DurableObjectStorage;
  /** Undefined: there is none, and everything stays. */
  readonly #bucket: R2Bucket | undefined;
  /** The prefix of the tenant's keys in the bucket. */
  readonly #prefix: string;
  readonly #retentionDays: number;
  readonly #log: Log;
  /** After a failure of R2: when to try again, in ms since the epoch. */
  #againAt = 0;

  constructor(parts: {
    storage: DurableObjectStorage;
    bucket: R2Bucket | undefined;
    prefix: string;
    config: Config;
    log: Log;
  }) {
    this.#storage = parts.storage;
    this.#bucket = parts.bucket;
    this.#prefix = parts.prefix;
    this.#retentionDays = parts.config.eventRetentionDays;
    this.#log = parts.log;
  }

  /** When the next run is to be moved, in ms since the epoch, or null. */
  get due(): number | null {
    const due = nextArchivalDue(this.#storage.sql, this.#retentionDays, this.#bucket);
    return due === null ? null : Math.max(due, this.#againAt);
  }

  /** Moves a run of events, and of ledger entries with it, if one is due. What R2 does not take stays. */
  async move(now: number): Promise<void> {
    const { due } = this;
    if (due === null || due > now || !this.#bucket) return;
    const cutoff = retentionStart(this.#retentionDays, now);
    try {
      await archiveEvents(this.#storage, this.#bucket, `${this.#prefix}/_events/`, cutoff, now);
      await archiveEntries(this.#storage, this.#bucket, `${this.#prefix}/_ledger/`, cutoff, now);
    } catch (error) {
      this.#log.warning("events.move_failed", { error: describe(error) });
      this.#againAt = now + RETRY_MS;
    }
  }
}
