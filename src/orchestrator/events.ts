/**
 * The tenant's event log: append-only, with a sequence that never repeats. Everything that watches reads this log.
 */
import type { InstanceEvent } from "../instance/spec.ts";
import { first, type Row } from "../sqlite.ts";
import type { EventPage, EventQuery, PastQuery, TenantEvent } from "./api.ts";

/** Appends one event. `instanceSeq` is 0 for what the Orchestrator itself saw. Data holds ids, counts and codes, never content. */
export function logEvent(
  sql: SqlStorage,
  instanceId: string,
  instanceSeq: number,
  at: number,
  kind: string,
  data: InstanceEvent["data"],
): void {
  sql.exec(
    "INSERT INTO event (at, instance_id, instance_seq, kind, data) VALUES (?, ?, ?, ?, ?)",
    at,
    instanceId,
    instanceSeq,
    kind,
    JSON.stringify(data),
  );
}

/** Appends what an instance reports, in one statement: a busy fleet sends thousands of events a second. */
export function logEvents(sql: SqlStorage, instanceId: string, events: readonly InstanceEvent[]): void {
  if (events.length === 0) return;
  sql.exec(
    `INSERT INTO event (at, instance_id, instance_seq, kind, data)
     SELECT value ->> 'at', ?, value ->> 'seq', value ->> 'kind', value -> 'data' FROM json_each(?) ORDER BY key`,
    instanceId,
    JSON.stringify(events),
  );
}

/** A page of the log after a sequence, oldest first, of all instances or of one. */
export function eventsAfter(sql: SqlStorage, query: Pick<EventQuery, "after" | "instance_id" | "limit">): EventPage {
  const [where, values] = query.instance_id === null ? ["", []] : ["AND instance_id = ?", [query.instance_id]];
  const events = sql
    .exec<EventRow>(
      `SELECT seq, at, instance_id, kind, data FROM event WHERE seq > ? ${where} ORDER BY seq LIMIT ?`,
      query.after,
      ...values,
      query.limit,
    )
    .toArray()
    .map(eventOf);
  return { events, last_seq: lastSeq(sql) };
}

/** A page of the log before a sequence (null: the end), newest first, of all instances or of one. */
export function eventsBefore(sql: SqlStorage, query: PastQuery): EventPage {
  const [where, values] = query.instance_id === null ? ["", []] : ["AND instance_id = ?", [query.instance_id]];
  const events = sql
    .exec<EventRow>(
      `SELECT seq, at, instance_id, kind, data FROM event WHERE seq < ? ${where} ORDER BY seq DESC LIMIT ?`,
      query.before ?? Number.MAX_SAFE_INTEGER,
      ...values,
      query.limit,
    )
    .toArray()
    .map(eventOf);
  return { events, last_seq: lastSeq(sql) };
}

interface EventRow extends Row {
  seq: number;
  at: number;
  instance_id: string;
  kind: string;
  data: string;
}

function eventOf(row: EventRow): TenantEvent {
  return { ...row, at: new Date(row.at).toISOString(), data: JSON.parse(row.data) };
}

/** The newest sequence of the log; 0 when it is empty. */
export function lastSeq(sql: SqlStorage): number {
  return first<{ seq: number | null }>(sql, "SELECT MAX(seq) AS seq FROM event")?.seq ?? 0;
}
