/**
 * Writes the event log to the server's logs: one line per event with all its data. So every step of an instance, a message, a model
 * call, a question and a job is one line, wherever it happened, in the order of the event log.
 */

import { isJobId } from "../../platform/ids.ts";
import type { Log, LogFields } from "../../platform/log.ts";
import type { Row } from "../../platform/sqlite.ts";
import { headOf } from "../store/event-log.ts";

type LineRow = Row & { seq: number; at: number; instance_id: string; kind: string; data: string };

/** Details: steps within a turn, and calls, which are logged where they are answered. */
const DETAILS: ReadonlySet<string> = new Set([
  "tool.finished",
  "tools.answered",
  "message.waiting",
  "message.resumed",
  "audit.called",
]);

/** The log level of a kind of event. */
function levelOf(kind: string): "debug" | "info" | "warning" {
  if (DETAILS.has(kind)) return "debug";
  return /\.(failed|lost|disabled|unhealthy)$/.test(kind) ? "warning" : "info";
}

export class EventLogger {
  readonly #sql: SqlStorage;
  readonly #log: Log;
  #written: number;

  constructor(sql: SqlStorage, log: Log) {
    this.#sql = sql;
    this.#log = log;
    this.#written = headOf(sql).seq;
  }

  /** Writes the lines of the events since the last time. */
  write(): void {
    if (!this.#log.writes("WARNING")) return;
    const rows = this.#sql
      .exec<LineRow>("SELECT seq, at, instance_id, kind, data FROM event WHERE seq > ? ORDER BY seq", this.#written)
      .toArray();
    for (const { seq, at, instance_id: id, kind, data } of rows) {
      const about = id === "" ? {} : isJobId(id) ? { job_id: id } : { instance_id: id };
      // A name is content: a caller has chosen it.
      const { name: _name, ...fields } = JSON.parse(data) as LogFields;
      this.#log[levelOf(kind)](kind, { ...about, ...fields, seq, at: new Date(at).toISOString() });
      this.#written = seq;
    }
  }
}
