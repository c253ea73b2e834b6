/**
 * A model call, as the Orchestrator sees it: leave before it, its settlement with the report after it. First the gate (the API's
 * rate), then the budget: a call that waits for a place has no money reserved.
 */
import type { Report } from "../contracts/instance-spec.ts";
import type { Admission, CallOutcome, ReservationRequest } from "../contracts/model-call.ts";
import { inTransaction } from "../platform/transaction.ts";
import { isStillRefused, releaseReservations, reserve } from "./budget/ledger.ts";
import type { Gate } from "./model-call-gate.ts";
import type { EffectivePolicy } from "./registry/effective-policy.ts";
import { takeReport } from "./registry/take-report.ts";
import { instanceIds, showWaiting } from "./store/instance-rows.ts";

/** A call that waits for money asks again after this time, if no settlement woke it before. */
const BUDGET_RETRY_MS = 5_000;

export interface ModelCallsParts {
  storage: DurableObjectStorage;
  gate: Gate;
  policy: EffectivePolicy;
  /** An instance's row looks different. */
  changed: (instanceId: string) => void;
  /** Wakes instances behind whoever asks for it. */
  wake: (instanceIds: readonly string[]) => void;
}

export class ModelCalls {
  readonly #parts: ModelCallsParts;
  /** The call that was last refused to each instance that is paused, or is about to be. */
  readonly #refused = new Map<string, ReservationRequest>();

  constructor(parts: ModelCallsParts) {
    this.#parts = parts;
  }

  /** Leave to make a call, now or at a time. */
  async admit(instanceId: string, ask: ReservationRequest): Promise<Admission> {
    const { storage, gate, policy } = this.#parts;
    let held = false;
    const entry = await gate.enter(instanceId, Date.now(), () => {
      held = true;
      this.#show(instanceId, "gate");
    });
    if (!entry.granted) return entry;
    const leave = inTransaction(storage, (tx) => reserve(tx, instanceId, ask, policy.caps));
    if (leave.kind === "granted") {
      if (held) this.#show(instanceId, null);
      return { granted: true, maxTokens: leave.maxTokens };
    }
    gate.forget(instanceId);
    if (leave.kind === "refused") {
      this.#refused.set(instanceId, ask);
      return { granted: false, until: null, error: leave.error };
    }
    this.#show(instanceId, "budget");
    return { granted: false, until: Date.now() + BUDGET_RETRY_MS, reason: "budget" };
  }

  /** The instance does not make the call that it asked leave for. */
  withdraw(instanceId: string): void {
    const { storage, gate } = this.#parts;
    gate.forget(instanceId);
    inTransaction(storage, (tx) => releaseReservations(tx, instanceId, Date.now()));
    this.#wakeBudgetWaiters();
  }

  /** Takes over a report, with how a call went. */
  report(report: Report, call: CallOutcome | undefined): void {
    const { storage, gate } = this.#parts;
    const freed = inTransaction(storage, (tx) => takeReport(tx, report));
    if (call) gate.leave(report.instance_id, call, Date.now());
    else if (isAtRest(report.snapshot.state)) gate.forget(report.instance_id);
    if (freed) this.#wakeBudgetWaiters();
    if (report.snapshot.state !== "paused") this.#refused.delete(report.instance_id);
    else if (!this.#isStillRefused(report.instance_id)) this.#parts.wake([report.instance_id]);
  }

  /**
   * A cap may have been raised between a refusal and the instance's word that it is paused for it: whoever raised it saw nobody to
   * wake. Without a note of the refusal (this object began since) the instance asks once more.
   */
  #isStillRefused(instanceId: string): boolean {
    const { storage, policy } = this.#parts;
    const ask = this.#refused.get(instanceId);
    return ask !== undefined && isStillRefused(storage.sql, instanceId, ask, policy.caps);
  }

  #show(instanceId: string, waitingFor: string | null): void {
    inTransaction(this.#parts.storage, (tx) => showWaiting(tx, instanceId, waitingFor));
    this.#parts.changed(instanceId);
  }

  /** Money came free: whoever waits for some asks again. */
  #wakeBudgetWaiters(): void {
    this.#parts.wake(waitingForBudget(this.#parts.storage.sql));
  }
}

/** Instances that wait for a budget: enough of them to use what came free. Waking all would make each ask again. */
function waitingForBudget(sql: SqlStorage): string[] {
  // Left to itself SQLite reads everyone who waits for anything.
  return instanceIds(
    sql,
    `SELECT instance_id FROM instance INDEXED BY instance_without_budget
     WHERE state = 'waiting' AND waiting_reason = 'budget' LIMIT 8`,
  );
}

/** An instance at rest has no call under way, and no place at the gate. */
function isAtRest(state: Report["snapshot"]["state"]): boolean {
  return state === "idle" || state === "error" || state === "paused";
}
