/**
 * Delivers webhooks: at least once, and for each webhook in the order of the event log. A webhook's row is one delivery, of its next
 * event; once that is delivered, the event after it is due. A call that is lost in a crash is repeated with the same id.
 */
import { Deliveries, type DeliveryTable, retryDelay } from "../../platform/delivery.ts";
import { describe, type Log } from "../../platform/log.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { VERSION } from "../../platform/version.ts";
import { headOf, logEvent } from "../store/event-log.ts";
import type { StoredEvent } from "../store/hash-chain.ts";
import { signedHeaders } from "./signature.ts";
import {
  activeWebhooks,
  BACKOFF,
  MAX_FAILURES,
  MAX_WEBHOOKS,
  markDue,
  nextWanted,
  noteDelivery,
  payloadOf,
  type WebhookRow,
} from "./webhooks.ts";

/** Time-out of a call to a receiver. */
const PATIENCE_MS = 10_000;
/** After a crash, an unfinished delivery is repeated after this time. */
const LEASE_MS = 30_000;
/** The status with which a receiver says that it is gone. */
const GONE = 410;

const WEBHOOKS: DeliveryTable = { name: "webhook", key: ["webhook_id"], columns: ["*"], due: "due_at", tries: null };

/** The outcome of a delivery: the answer of the receiver, or that there is no event to deliver up to a sequence. */
type Posted = Answered | { event: null; upTo: number };

/** `at`: when it was sent, in ms since the epoch. */
interface Answered {
  event: StoredEvent;
  status: string;
  at: number;
}

export interface WebhookDeliveryParts {
  storage: DurableObjectStorage;
  tenant: string;
  log: Log;
  /** Something was logged. */
  onLogged: () => void;
  /** Nothing is under way any more: the alarm can be set to what is next. */
  onIdle: () => void;
}

export class WebhookDelivery {
  readonly #parts: WebhookDeliveryParts;
  readonly #deliveries: Deliveries<WebhookRow, Posted>;
  /** The active webhooks with their filters, and how far the log was scanned for them. Null: to be read again. */
  #watching: { id: string; filters: string[]; seen: number }[] | null = null;

  constructor(parts: WebhookDeliveryParts) {
    this.#parts = parts;
    this.#deliveries = new Deliveries<WebhookRow, Posted>({
      storage: parts.storage,
      table: WEBHOOKS,
      // All at once, so that none waits for another's receiver.
      policy: { ...BACKOFF, leaseMs: LEASE_MS, atOnce: MAX_WEBHOOKS },
      send: (row) => this.#post(row),
      onDelivered: (tx, row, posted) => this.#posted(tx, row, posted),
      onFailed: ({ webhook_id }, error) => parts.log.error("webhook.broken", { webhook_id, error: describe(error) }),
      onIdle: parts.onIdle,
    });
  }

  /** When the next delivery is due, in ms since the epoch, or null. */
  get nextDue(): number | null {
    return this.#deliveries.nextDue;
  }

  /** Delivers what is due. */
  deliverDue(): Promise<void> {
    return this.#deliveries.deliverDue();
  }

  /** The webhooks have changed. */
  reload(): void {
    this.#watching = null;
  }

  /**
   * Marks webhooks due that want what was just logged. To be called right after the commit, before anything is awaited: then its
   * rows and the alarm that the caller sets are part of the same commit. Returns whether anything became due.
   */
  markDue(now: number): boolean {
    const { sql } = this.#parts.storage;
    this.#watching ??= activeWebhooks(sql).map((row) => ({
      id: row.webhook_id,
      filters: filtersOf(row),
      seen: row.cursor,
    }));
    let due = false;
    for (const webhook of this.#watching) {
      const next = nextWanted(sql, webhook.filters, webhook.seen);
      if (next.event === null) {
        webhook.seen = next.upTo;
        continue;
      }
      // The delivery that is due or under way will scan the rest.
      webhook.seen = headOf(sql).seq;
      due = inTransaction(this.#parts.storage, (tx) => markDue(tx, webhook.id, now)) || due;
    }
    return due;
  }

  async #post(row: WebhookRow): Promise<Posted> {
    const next = nextWanted(this.#parts.storage.sql, filtersOf(row), row.cursor);
    if (next.event === null) return next;
    const at = Date.now();
    return { event: next.event, status: await post(row, next.event, this.#parts.tenant), at };
  }

  /** Records the outcome of a delivery, and when the next one is due. */
  #posted(tx: Tx, row: WebhookRow, posted: Posted): void {
    if (posted.event === null) noteDelivery(tx, row.webhook_id, { due_at: null, cursor: posted.upTo });
    else if (posted.status >= "200" && posted.status < "300") this.#arrived(tx, row, posted);
    else this.#failed(tx, row, posted);
  }

  #arrived(tx: Tx, row: WebhookRow, { event, status, at }: Answered): void {
    const next = nextWanted(tx, filtersOf(row), event.seq);
    noteDelivery(tx, row.webhook_id, {
      cursor: next.event === null ? next.upTo : next.event.seq - 1,
      due_at: next.event === null ? null : Date.now(),
      failures: 0,
      delivered: row.delivered + 1,
      last_status: status,
      last_tried_at: at,
    });
    this.#parts.log.debug("webhook.delivered", { webhook_id: row.webhook_id, kind: event.kind, seq: event.seq });
  }

  #failed(tx: Tx, row: WebhookRow, { event, status, at }: Answered): void {
    const { webhook_id } = row;
    const now = Date.now();
    const failures = row.failures + 1;
    const isOver = status === String(GONE) || failures >= MAX_FAILURES;
    noteDelivery(tx, webhook_id, {
      due_at: isOver ? null : now + retryDelay(failures, BACKOFF),
      disabled_at: isOver ? now : null,
      failures,
      last_status: status,
      last_tried_at: at,
    });
    this.#parts.log.warning("webhook.failed", { webhook_id, seq: event.seq, status, failures });
    if (!isOver) return;
    logEvent(tx, "", 0, now, "webhook.disabled", { webhook_id, failures, last_status: status });
    this.reload();
    // Once it is committed.
    queueMicrotask(this.#parts.onLogged);
  }
}

function filtersOf(row: WebhookRow): string[] {
  return JSON.parse(row.events) as string[];
}

/** Calls the receiver. Returns its status, or a word for why there is none. Redirections are not followed. */
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
