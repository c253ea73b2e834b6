/**
 * The table `webhook`, and decisions about webhooks. A webhook reads the event log from its cursor on, in order, one event per
 * delivery (webhook-delivery.ts).
 */
import type { AuditedCall } from "../../contracts/audited-call.ts";
import type { WebhookRequest } from "../../contracts/orchestrator.ts";
import type { WebhookRecord } from "../../contracts/records.ts";
import type { Backoff } from "../../platform/delivery.ts";
import { err, ok, type Result } from "../../platform/errors.ts";
import { ulid } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { addressProblem } from "../../remote-mcp/public-address.ts";
import { recordCall } from "../store/audit-record.ts";
import { headOf } from "../store/event-log.ts";
import type { StoredEvent } from "../store/hash-chain.ts";
import { isSecret, newSecret } from "./signature.ts";

/** Webhooks per tenant. */
export const MAX_WEBHOOKS = 20;

/** The events of a webhook that names none: that something has ended, and that a question was asked. */
export const DEFAULT_EVENTS: readonly string[] = [
  "message.completed",
  "message.failed",
  "message.cancelled",
  "message.refused",
  "instance.terminated",
  "job.completed",
  "job.partial",
  "job.failed",
  "job.cancelled",
  "question.asked",
];

/** A kind of event, a group of kinds (`job.*`), or all (`*`). */
export const EVENT_FILTER = /^(\*|[a-z_]{1,40}\.(\*|[a-z_]{1,40}))$/;

/** A failed delivery is tried again after 5 s, 20 s, 80 s and so on, up to 6 h. */
export const BACKOFF: Backoff = { firstMs: 5_000, factor: 4, ceilingMs: 6 * 60 * 60 * 1000 };
/** Failures in a row after which a webhook is disabled: about 20 hours. */
export const MAX_FAILURES = 10;

/** Whether a filter matches a kind of event. */
export function wants(filters: readonly string[], kind: string): boolean {
  return filters.some(
    (filter) => filter === "*" || filter === kind || (filter.endsWith(".*") && kind.startsWith(filter.slice(0, -1))),
  );
}

export interface WebhookRow extends Row {
  webhook_id: string;
  url: string;
  events: string;
  secret: string;
  created_at: number;
  cursor: number;
  due_at: number | null;
  failures: number;
  delivered: number;
  last_status: string | null;
  last_tried_at: number | null;
  disabled_at: number | null;
}

/** Registers a webhook for events from now on. `invalid_input`, `limit_reached`. */
export function addWebhook(
  storage: DurableObjectStorage,
  request: WebhookRequest,
  allowPrivate: boolean,
  now: number,
  audit?: AuditedCall,
): Result<{ webhook: WebhookRecord; secret: string }> {
  const { sql } = storage;
  const problem = addressProblem(request.url, allowPrivate);
  if (problem) return err("invalid_input", `No webhook can be sent to this url: ${problem}.`, { field: "url" });
  if (request.secret !== null && !isSecret(request.secret)) {
    return err("invalid_input", "A secret is whsec_ and 24 to 64 bytes in base64. Leave it out, and one is made.", {
      field: "secret",
    });
  }
  const { webhooks } = sql.exec<{ webhooks: number }>("SELECT COUNT(*) AS webhooks FROM webhook").one();
  if (webhooks >= MAX_WEBHOOKS) {
    return err("limit_reached", `There are ${webhooks} webhooks, and that is the most. Delete one first.`, {
      webhooks,
    });
  }
  const secret = request.secret ?? newSecret();
  const id = `wh_${ulid(now)}`;
  inTransaction(storage, (tx) => {
    tx.exec(
      "INSERT INTO webhook (webhook_id, url, events, secret, created_at, cursor) VALUES (?, ?, ?, ?, ?, ?)",
      id,
      request.url,
      JSON.stringify(request.events),
      secret,
      now,
      headOf(sql).seq,
    );
    recordCall(tx, audit, id, now);
  });
  const row = webhookRow(sql, id);
  if (!row) throw new Error("The webhook that was just written is not there.");
  return ok({ webhook: recordOf(row), secret });
}

export function webhookRow(sql: SqlStorage, id: string): WebhookRow | undefined {
  return first<WebhookRow>(sql, "SELECT * FROM webhook WHERE webhook_id = ?", id);
}

export function listWebhooks(sql: SqlStorage): WebhookRecord[] {
  return sql.exec<WebhookRow>("SELECT * FROM webhook ORDER BY webhook_id").toArray().map(recordOf);
}

/** Returns whether there was one. */
export function removeWebhook(tx: Tx, id: string, now: number, audit?: AuditedCall): boolean {
  const [row] = tx.exec("DELETE FROM webhook WHERE webhook_id = ? RETURNING webhook_id", id).toArray();
  if (row) recordCall(tx, audit, id, now);
  return row !== undefined;
}

/** The webhooks that are not disabled. */
export function activeWebhooks(sql: SqlStorage): WebhookRow[] {
  return sql.exec<WebhookRow>("SELECT * FROM webhook WHERE disabled_at IS NULL").toArray();
}

/** Marks a webhook due, unless it already is or is disabled. Returns whether it was marked. */
export function markDue(tx: Tx, id: string, now: number): boolean {
  const marked = tx.exec(
    "UPDATE webhook SET due_at = ? WHERE webhook_id = ? AND due_at IS NULL AND disabled_at IS NULL RETURNING webhook_id",
    now,
    id,
  );
  return marked.toArray().length > 0;
}

/** Records the outcome of a delivery. */
export function noteDelivery(tx: Tx, id: string, changes: Partial<WebhookRow>): void {
  const names = Object.keys(changes);
  const values = names.map((name) => changes[name] ?? null);
  tx.exec(`UPDATE webhook SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE webhook_id = ?`, ...values, id);
}

/** Events per query of a scan. */
const SCAN = 500;

/** The first event after a sequence that matches the filters, or null and the sequence up to which there is none. */
export function nextWanted(
  sql: SqlStorage,
  filters: readonly string[],
  after: number,
): { event: StoredEvent } | { event: null; upTo: number } {
  for (let at = after; ; ) {
    const page = sql
      .exec<Row & { seq: number; kind: string }>(
        "SELECT seq, kind FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
        at,
        SCAN,
      )
      .toArray();
    const found = page.find(({ kind }) => wants(filters, kind));
    if (found) {
      return {
        event: sql
          .exec<Row & StoredEvent>("SELECT seq, at, instance_id, kind, data FROM event WHERE seq = ?", found.seq)
          .one(),
      };
    }
    at = page.at(-1)?.seq ?? at;
    if (page.length < SCAN) return { event: null, upTo: at };
  }
}

/** The body by Standard Webhooks. `details` is the event's data: ids, counts and codes, never content. */
export function payloadOf(event: StoredEvent, tenant: string): string {
  return JSON.stringify({
    type: event.kind,
    timestamp: new Date(event.at).toISOString(),
    data: {
      tenant,
      seq: event.seq,
      instance_id: event.instance_id || null,
      details: JSON.parse(event.data) as unknown,
    },
  });
}

function recordOf(row: WebhookRow): WebhookRecord {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return {
    webhook_id: row.webhook_id,
    url: row.url,
    events: JSON.parse(row.events) as string[],
    state: row.disabled_at === null ? "active" : "disabled",
    created_at: new Date(row.created_at).toISOString(),
    delivered: row.delivered,
    failures: row.failures,
    last_status: row.last_status,
    last_tried_at: iso(row.last_tried_at),
    next_try_at: iso(row.due_at),
  };
}
