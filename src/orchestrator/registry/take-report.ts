/**
 * Applying the reports of instances to the registry.
 */
import { settlementOf } from "../../contracts/call-settled.ts";
import type { InstanceEvent, Report, TokenCounts } from "../../contracts/instance-spec.ts";
import type { Tx } from "../../platform/transaction.ts";
import { endReservation } from "../budget/ledger.ts";
import { countersAfter, parseCounters } from "../store/counters.ts";
import { logEvents } from "../store/event-log.ts";
import { forgetSecrets } from "../store/first-uses.ts";
import {
  type EventsSeen,
  type InstanceRow,
  rowOf,
  updateFromEvents,
  updateFromReport,
} from "../store/instance-rows.ts";
import { countMessages, countTokens } from "../store/tenant-row.ts";
import { keepQuestions } from "./questions.ts";
import { waitOver } from "./wait-graph.ts";

/**
 * Applies a report to the event log, the ledger, the instance's row and the tenant's sums. Repeating it changes nothing; of a late
 * one only the events that are new count. Returns whether a reservation came free.
 */
export function takeReport(tx: Tx, report: Report): boolean {
  const row = rowOf(tx, report.instance_id);
  if (!row) return false;
  const { freed, ...seen } = takeEvents(tx, row, report.events);
  if (report.seq > row.report_seq) takeSnapshot(tx, row, report, seen);
  else if (seen.eventSeq > row.event_seq) updateFromEvents(tx, row.instance_id, seen);
  return freed;
}

function takeEvents(tx: Tx, row: InstanceRow, events: readonly InstanceEvent[]): EventsSeen & { freed: boolean } {
  const fresh = events.filter((event) => event.seq > row.event_seq);
  logEvents(tx, row.instance_id, fresh);
  let freed = false;
  for (const event of fresh) {
    const settled = settlementOf(event);
    if (settled) freed = endReservation(tx, row.instance_id, settled.attempt, settled.ending, event.at) || freed;
  }
  const before = parseCounters(row.counters);
  const counters = fresh.reduce(countersAfter, before);
  if (counters !== before) countMessages(tx, fresh);
  return {
    freed,
    eventSeq: Math.max(row.event_seq, events.at(-1)?.seq ?? 0),
    counters: counters === before ? row.counters : JSON.stringify(counters),
  };
}

function takeSnapshot(tx: Tx, row: InstanceRow, report: Report, seen: EventsSeen): void {
  const { snapshot } = report;
  if (row.active) keepQuestions(tx, row.instance_id, row.open_questions, report.questions);
  if (snapshot.state !== "waiting") waitOver(tx, row.instance_id, report.seq);
  updateFromReport(tx, report, seen);
  // It reports, so it has been used and has its secrets.
  if (row.report_seq === 0) forgetSecrets(tx, row.instance_id);
  const more: TokenCounts = {
    input: snapshot.tokens.input - row.tokens_input,
    output: snapshot.tokens.output - row.tokens_output,
    cache_read: snapshot.tokens.cache_read - row.tokens_cache_read,
    cache_write: snapshot.tokens.cache_write - row.tokens_cache_write,
  };
  if (Object.values(more).some((count) => count !== 0)) countTokens(tx, more);
}
