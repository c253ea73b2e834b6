/**
 * An instance's connection to its Orchestrator: requests, and reports of what it does not know yet. What could not be delivered
 * stays in rows, and goes with the next report.
 */

import type { Admission, CallOutcome, ReservationRequest } from "../../contracts/model-call.ts";
import type { OrchestratorApi } from "../../contracts/orchestrator.ts";
import { describe, type Log } from "../../platform/log.ts";
import { hasUnreported } from "../store/events.ts";
import type { AdmissionControl } from "../turn/model-caller.ts";
import { confirm, reportOf } from "./report.ts";

export class Reporter implements AdmissionControl {
  readonly #sql: SqlStorage;
  readonly #instanceId: string;
  readonly #connect: () => OrchestratorApi;
  readonly #log: Log;
  /** A report failed: the alarm has to call `report` again. */
  readonly #failed: () => void;
  /** A stub that has thrown may be broken for good: the next call takes a new one. */
  #orchestrator: OrchestratorApi | undefined;
  #reporting: Promise<void> | undefined;
  /** How the last model call went, until the concurrency limiter knows. */
  #outcome: CallOutcome | undefined;

  constructor(parts: {
    sql: SqlStorage;
    instanceId: string;
    connect: () => OrchestratorApi;
    log: Log;
    failed: () => void;
  }) {
    this.#sql = parts.sql;
    this.#instanceId = parts.instanceId;
    this.#connect = parts.connect;
    this.#log = parts.log;
    this.#failed = parts.failed;
  }

  /** Calls the Orchestrator. Rejects when it can't be reached. */
  async ask<T>(call: (orchestrator: OrchestratorApi) => Promise<T>): Promise<T> {
    this.#orchestrator ??= this.#connect();
    try {
      return await call(this.#orchestrator);
    } catch (error) {
      this.#orchestrator = undefined;
      throw error;
    }
  }

  /** Asks to be admitted to a model call; the request carries the report. */
  async admit(ask: ReservationRequest, signal: AbortSignal): Promise<Admission> {
    await this.#reporting;
    // The turn may have been stopped meanwhile: an admission that is not used would block a slot.
    signal.throwIfAborted();
    const report = reportOf(this.#sql, this.#instanceId);
    const admission = await this.ask((orchestrator) => orchestrator.admit(this.#instanceId, report, ask));
    if (report) confirm(this.#sql, report.seq, null);
    return admission;
  }

  /** The admission that was asked for is no longer needed. Rejects when the Orchestrator can't be reached. */
  async withdraw(): Promise<void> {
    await this.ask((orchestrator) => orchestrator.withdraw(this.#instanceId));
  }

  /** The report that is under way, if there is one. Never rejects. */
  get current(): Promise<void> {
    return this.#reporting ?? Promise.resolve();
  }

  /** Brings the registry up to date, with how a model call went. Never throws. */
  report(outcome?: CallOutcome): Promise<void> {
    this.#outcome = outcome ?? this.#outcome;
    this.#reporting ??= this.#deliver().finally(() => {
      this.#reporting = undefined;
    });
    return this.#reporting;
  }

  async #deliver(): Promise<void> {
    const sql = this.#sql;
    try {
      while (this.#outcome || hasUnreported(sql)) {
        const report = reportOf(sql, this.#instanceId);
        const outcome = this.#outcome;
        if (report) {
          const limits = await this.ask((orchestrator) => orchestrator.report(report, outcome));
          confirm(sql, report.seq, limits);
        } else if (outcome) {
          // Another report took the events along; the concurrency limiter still has to know how the call went.
          await this.ask((orchestrator) => orchestrator.callEnded(this.#instanceId, outcome));
        }
        if (this.#outcome === outcome) this.#outcome = undefined;
      }
    } catch (error) {
      this.#log.warning("report.failed", { error: describe(error) });
      this.#failed();
    }
  }
}
