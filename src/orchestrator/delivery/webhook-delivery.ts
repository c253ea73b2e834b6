/**
 * Carries out webhooks: at least once, in the order of the log for each webhook, driven by the Orchestrator's alarm. What is due
 * stands in rows; a run that dies is taken up again when its lease is over, with the same ids. No run is waited for by anybody.
 */
import { describe, type Log } from "../../platform/log.ts";
import { VERSION } from "../../platform/version.ts";
import { headOf, logEvent } from "../store/event-log.ts";
import type { StoredEvent } from "../store/hash-chain.ts";
import { signedHeaders } from "./signature.ts";
import { nextWanted, payloadOf, retryAfter, type WebhookRow, webhookRow } from "./webhooks.ts";

/** How long a receiver may take to answer. */
const PATIENCE_MS = 10_000;
/** A delivery that was not heard of for this long died with its process. */
const LEASE_MS = 30_000;
/** Deliveries of one webhook in one run. */
const BATCH = 100;
/** Events that a webhook does not want, after which its cursor is written all the same: a restart looks at no more. */
const SKIPPED = 1_000;
/** The receiver says that it is not there any more. */
const GONE = 410;

export interface CourierParts {
  storage: DurableObjectStorage;
  tenant: string;
  log: Log;
  /** Something was logged. */
  logged(): void;
}

export class Courier {
  readonly #parts: CourierParts;
  /** The webhooks that are not disabled: their filters and how far the log was looked through for them. Null: to be read. */
  #watching: { id: string; filters: string[]; seen: number }[] | null = null;
  readonly #running = new Set<string>();

  constructor(parts: CourierParts) {
    this.#parts = parts;
  }

  /** The webhooks have changed. */
  reload(): void {
    this.#watching = null;
  }

  /**
   * Looks whether what was just logged is to be delivered. Call in the same breath as the commit, so that the row, and the alarm
   * that the caller then sets, are one with it. Returns whether there is something due that was not before.
   */
  notice(now: number): boolean {
    const { sql } = this.#parts.storage;
    this.#watching ??= sql
      .exec<WebhookRow>("SELECT * FROM webhook WHERE disabled_at IS NULL")
      .toArray()
      .map((row) => ({ id: row.webhook_id, filters: JSON.parse(row.events) as string[], seen: row.cursor }));
    let due = false;
    for (const webhook of this.#watching) {
      const next = nextWanted(sql, webhook.filters, webhook.seen);
      if (next.event === null) {
        webhook.seen = next.upTo;
        continue;
      }
      // A run that is under way or comes now looks at all of the rest.
      webhook.seen = headOf(sql).seq;
      const marked = sql.exec(
        "UPDATE webhook SET due_at = ? WHERE webhook_id = ? AND due_at IS NULL AND disabled_at IS NULL RETURNING webhook_id",
        now,
        webhook.id,
      );
      due = marked.toArray().length > 0 || due;
    }
    return due;
  }

  /** Delivers what is due. Never throws. */
  async deliver(): Promise<void> {
    const { sql } = this.#parts.storage;
    const due = sql
      .exec<{ id: string }>("SELECT webhook_id AS id FROM webhook WHERE due_at <= ?", Date.now())
      .toArray()
      .filter(({ id }) => !this.#running.has(id));
    await Promise.all(due.map(({ id }) => this.#run(id)));
  }

  async #run(id: string): Promise<void> {
    this.#running.add(id);
    try {
      for (let sent = 0; sent < BATCH; sent++) {
        const row = webhookRow(this.#parts.storage.sql, id);
        if (!row || row.disabled_at !== null || !(await this.#next(row))) return;
      }
      this.#set(id, { due_at: Date.now() });
    } catch (error) {
      this.#parts.log.error("webhook.broken", { webhook_id: id, error: describe(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  /** Delivers the webhook's next event. Returns whether to go on at once. */
  async #next(row: WebhookRow): Promise<boolean> {
    const { storage, tenant, log } = this.#parts;
    const next = nextWanted(storage.sql, JSON.parse(row.events) as string[], row.cursor);
    if (next.event === null) {
      this.#set(row.webhook_id, { due_at: null, ...(next.upTo - row.cursor >= SKIPPED ? { cursor: next.upTo } : {}) });
      return false;
    }
    const { event } = next;
    this.#set(row.webhook_id, { due_at: Date.now() + LEASE_MS, last_tried_at: Date.now() });
    const status = await post(row, event, tenant);
    if (status >= "200" && status < "300") {
      const { delivered } = row;
      this.#set(row.webhook_id, { cursor: event.seq, failures: 0, delivered: delivered + 1, last_status: status });
      log.debug("webhook.delivered", { webhook_id: row.webhook_id, kind: event.kind, seq: event.seq });
      return true;
    }
    const failures = row.failures + 1;
    const wait = status === String(GONE) ? null : retryAfter(failures);
    log.warning("webhook.failed", { webhook_id: row.webhook_id, seq: event.seq, status, failures });
    if (wait !== null) this.#set(row.webhook_id, { failures, last_status: status, due_at: Date.now() + wait });
    else this.#disable(row, failures, status);
    return false;
  }

  #disable(row: WebhookRow, failures: number, status: string): void {
    const { storage, logged } = this.#parts;
    const now = Date.now();
    storage.transactionSync(() => {
      if (!webhookRow(storage.sql, row.webhook_id)) return;
      this.#set(row.webhook_id, { failures, last_status: status, due_at: null, disabled_at: now });
      logEvent(storage.sql, "", 0, now, "webhook.disabled", {
        webhook_id: row.webhook_id,
        failures,
        last_status: status,
      });
    });
    this.reload();
    logged();
  }

  #set(id: string, changes: Partial<WebhookRow>): void {
    const names = Object.keys(changes);
    const values = names.map((name) => changes[name] ?? null);
    const sets = names.map((name) => `${name} = ?`).join(", ");
    this.#parts.storage.sql.exec(`UPDATE webhook SET ${sets} WHERE webhook_id = ?`, ...values, id);
  }
}

/** The status that the receiver answered with, or in a word why there was none. A redirection is followed nowhere. */
async function post(row: WebhookRow, event: StoredEvent, tenant: string): Promise<string> {
  const id = `${row.webhook_id}_${event.seq}`;
  const body = payloadOf(event, tenant);
  try {
    const response = await fetch(row.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": `madrox/${VERSION}`,
        ...signedHeaders(row.secret, id, body, Date.now()),
      },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await response.body?.cancel();
    return String(response.status);
  } catch (error) {
    return error instanceof Error && error.name === "TimeoutError" ? "timeout" : "unreachable";
  }
}
