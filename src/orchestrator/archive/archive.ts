/**
 * Old events and entries of the ledger, which leave the object for R2 together (segments.ts, ledger-segments.ts).
 */
import type { Config } from "../../contracts/config.ts";
import { describe, type Log } from "../../platform/log.ts";
import { moveSegment, nextSegmentDue, retentionStart } from "./event-archive.ts";
import { moveLedger } from "./ledger-archive.ts";

/** What R2 did not take is tried again after this time. */
const RETRY_MS = 10 * 60_000;

export class Archive {
  readonly #storage: DurableObjectStorage;
  /** Undefined without one: then everything stays. */
  readonly #bucket: R2Bucket | undefined;
  /** Where everything of the tenant is in the bucket. */
  readonly #prefix: string;
  readonly #retentionDays: number;
  readonly #log: Log;
  /** Not before this time is anything moved, after R2 did not take it. In ms since the epoch. */
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

  /** When there is something to move, in ms since the epoch, or null. */
  get due(): number | null {
    const due = nextSegmentDue(this.#storage.sql, this.#retentionDays, this.#bucket);
    return due === null ? null : Math.max(due, this.#againAt);
  }

  /** Moves a piece of the event log, and of the ledger with it, when it is due. What R2 does not take stays. */
  async move(now: number): Promise<void> {
    const { due } = this;
    if (due === null || due > now || !this.#bucket) return;
    const cutoff = retentionStart(this.#retentionDays, now);
    try {
      await moveSegment(this.#storage, this.#bucket, `${this.#prefix}/_events/`, cutoff, now);
      await moveLedger(this.#storage, this.#bucket, `${this.#prefix}/_ledger/`, cutoff, now);
    } catch (error) {
      this.#log.warning("events.move_failed", { error: describe(error) });
      this.#againAt = now + RETRY_MS;
    }
  }
}
