/**
 * The tenant's event log: append-only, with a sequence without gaps or repeats, and a hash chain over it. Everything that follows
 * the tenant reads this log.
 */
import type { InstanceEvent } from "../../contracts/instance-spec.ts";
import type { AuditLines, ChainLink, EventQuery, PastQuery } from "../../contracts/orchestrator.ts";
import type { EventPage, TenantEvent } from "../../contracts/records.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { inTransaction, type Tx } from "../../platform/transaction.ts";
import { GENESIS, hashOf, lineOf, type StoredEvent } from "./hash-chain.ts";

type EventRow = Row & StoredEvent;
type LinkRow = Row & ChainLink;

/** Appends one event. `instanceSeq` is 0 for what the Orchestrator itself does. Data holds ids, counts and codes, never content. */
export function logEvent(
  tx: Tx,
  instanceId: string,
  instanceSeq: number,
  at: number,
  kind: string,
  data: InstanceEvent["data"],
): void {
  logEvents(tx, instanceId, [{ seq: instanceSeq, at, kind, data }]);
}

/** Appends what an instance reports, in one statement: a busy fleet sends thousands of events per second. */
export function logEvents(tx: Tx, instanceId: string, events: readonly InstanceEvent[]): void {
  if (events.length === 0) return;
  let link = headOf(tx);
  const rows = events.map(({ seq: instance_seq, at, kind, data }) => {
    const event = { seq: link.seq + 1, at, instance_id: instanceId, kind, data: JSON.stringify(data) };
    link = { seq: event.seq, hash: hashOf(event, link.hash) };
    return { ...event, instance_seq, hash: link.hash };
  });
  const [row] = rows;
  if (row && rows.length === 1) {
    const { seq, at, instance_id, instance_seq, kind, data, hash } = row;
    tx.exec(
      "INSERT INTO event (seq, at, instance_id, instance_seq, kind, data, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[seq, at, instance_id, instance_seq, kind, data, hash],
    );
    return;
  }
  tx.exec(
    `INSERT INTO event (seq, at, instance_id, instance_seq, kind, data, hash)
     SELECT value ->> 'seq', value ->> 'at', value ->> 'instance_id', value ->> 'instance_seq', value ->> 'kind',
       value ->> 'data', value ->> 'hash' FROM json_each(?) ORDER BY key`,
    JSON.stringify(rows),
  );
}

/** The newest link of the chain. */
export function headOf(sql: SqlStorage): ChainLink {
  return first<LinkRow>(sql, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1") ?? anchorOf(sql);
}

/** The link before the oldest event in this object: the newest one in the archive. */
function anchorOf(sql: SqlStorage): ChainLink {
  const newest = "SELECT last_seq AS seq, last_hash AS hash FROM archived_events ORDER BY last_seq DESC LIMIT 1";
  return first<LinkRow>(sql, newest) ?? { seq: 0, hash: GENESIS };
}

/** Adds the hashes of events from before there was a hash chain. Does nothing once that is done. */
export function hashOlderEvents(storage: DurableObjectStorage): void {
  if (headOf(storage.sql).hash !== "") return;
  inTransaction(storage, (tx) => {
    let prev = GENESIS;
    for (const event of tx
      .exec<EventRow>("SELECT seq, at, instance_id, kind, data FROM event ORDER BY seq")
      .toArray()) {
      prev = hashOf(event, prev);
      tx.exec("UPDATE event SET hash = ? WHERE seq = ?", prev, event.seq);
    }
  });
}

/** Deletes the events up to a sequence, once they are in the archive. */
export function deleteEvents(tx: Tx, upTo: number): void {
  tx.exec("DELETE FROM event WHERE seq <= ?", upTo);
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

function eventOf(row: EventRow): TenantEvent {
  return { ...row, at: new Date(row.at).toISOString(), data: JSON.parse(row.data) };
}

/** The newest sequence of the log; 0 when it is empty. */
export function lastSeq(sql: SqlStorage): number {
  return headOf(sql).seq;
}

/** Lines of the audit export for the events in this object after a sequence, oldest first, up to `upTo` and about `maxBytes`. */
export function linesAfter(sql: SqlStorage, after: number, upTo: number, maxBytes: number): AuditLines {
  const before = first<LinkRow>(sql, "SELECT seq, hash FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", after);
  let prev = (before ?? anchorOf(sql)).hash;
  let lines = "";
  let last: ChainLink | null = null;
  const rows = sql.exec<EventRow & LinkRow>(
    "SELECT seq, at, instance_id, kind, data, hash FROM event WHERE seq > ? AND seq <= ? ORDER BY seq",
    after,
    upTo,
  );
  for (const row of rows) {
    lines += `${lineOf(row, prev, row.hash)}\n`;
    prev = row.hash;
    last = { seq: row.seq, hash: row.hash };
    if (lines.length >= maxBytes) break;
  }
  return { lines, last };
}
