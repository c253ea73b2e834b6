/**
 * A model call as the Orchestrator sees it: admission before it, settlement with the report after it. The concurrency limiter
 * comes first and the budget second, so that a call that waits for a slot has no money reserved.
 */
import type { Report } from "../contracts/instance-spec.ts";
import type { Admission, CallOutcome, ReservationRequest } from "../contracts/model-call.ts";
import { inTransaction } from "../platform/transaction.ts";
import { isStillRefused, releaseReservations, reserve } from "./budget/ledger.ts";
import type { ConcurrencyLimiter } from "./concurrency-limiter.ts";
import type { EffectivePolicy } from "./registry/effective-policy.ts";
import { takeReport } from "./registry/take-report.ts";
import { instanceIds, showWaiting } from "./store/instance-rows.ts";

/** When a call that waits for budget asks again, unless a settlement wakes it before. */
const BUDGET_RETRY_MS = 5_000;

export interface ModelCallsParts {
  storage: DurableObjectStorage;
  limiter: ConcurrencyLimiter;
  policy: EffectivePolicy;
  /** An instance's row has changed. */
  onChanged: (instanceId: string) => void;
  /** Wakes instances, without waiting for it. */
  wake: (instanceIds: readonly string[]) => void;
}

export class ModelCalls {
  readonly #parts: ModelCallsParts;
  /** The call that was last refused to each instance that is paused, or is about to be. */
  readonly #refused = new Map<string, ReservationRequest>();

  constructor(parts: ModelCallsParts) {
    this.#parts = parts;
  }

  /** Admits a call, or says when to ask again. */
  async admit(instanceId: string, ask: ReservationRequest): Promise<Admission> {
    const { storage, limiter, policy } = this.#parts;
    let queued = false;
    const entry = await limiter.acquire(instanceId, Date.now(), () => {
      queued = true;
      this.#show(instanceId, "gate");
    });
    if (!entry.granted) return entry;
    const reserved = inTransaction(storage, (tx) => reserve(tx, instanceId, ask, policy.caps));
    if (reserved.kind === "granted") {
      if (queued) this.#show(instanceId, null);
      return { granted: true, maxTokens: reserved.maxTokens };
    }
    limiter.abandon(instanceId);
    if (reserved.kind === "refused") {
      this.#refused.set(instanceId, ask);
      return { granted: false, until: null, error: reserved.error };
    }
    this.#show(instanceId, "budget");
    return { granted: false, until: Date.now() + BUDGET_RETRY_MS, reason: "budget" };
  }

  /** The instance does not make the call that was admitted. */
  withdraw(instanceId: string): void {
    const { storage, limiter } = this.#parts;
    limiter.abandon(instanceId);
    inTransaction(storage, (tx) => releaseReservations(tx, instanceId, Date.now()));
    this.#wakeBudgetWaiters();
  }

  /** Takes over a report, with how a call went. */
  report(report: Report, call: CallOutcome | undefined): void {
    const { storage, limiter } = this.#parts;
    const freed = inTransaction(storage, (tx) => takeReport(tx, report));
    if (call) limiter.release(report.instance_id, call, Date.now());
    else if (isAtRest(report.snapshot.state)) limiter.abandon(report.instance_id);
    if (freed) this.#wakeBudgetWaiters();
    if (report.snapshot.state !== "paused") this.#refused.delete(report.instance_id);
    else if (!this.#isStillRefused(report.instance_id)) this.#parts.wake([report.instance_id]);
  }

  /**
   * A cap may have been raised between a refusal and the instance's report that it is paused for it: then raising it woke nobody.
   * If this object has restarted since and does not know of the refusal, the instance asks once more.
   */
  #isStillRefused(instanceId: string): boolean {
    const { storage, policy } = this.#parts;
    const ask = this.#refused.get(instanceId);
    return ask !== undefined && isStillRefused(storage.sql, instanceId, ask, policy.caps);
  }

  #show(instanceId: string, waitingFor: string | null): void {
    inTransaction(this.#parts.storage, (tx) => showWaiting(tx, instanceId, waitingFor));
    this.#parts.onChanged(instanceId);
  }

  /** Budget came free: calls that wait for it ask again. */
  #wakeBudgetWaiters(): void {
    this.#parts.wake(waitingForBudget(this.#parts.storage.sql));
  }
}

/** Instances that wait for budget: enough of them to use what came free. Waking all would make each of them ask again. */
function waitingForBudget(sql: SqlStorage): string[] {
  // Left to itself, SQLite reads every instance that waits for anything.
  return instanceIds(
    sql,
    `SELECT instance_id FROM instance INDEXED BY instance_without_budget
     WHERE state = 'waiting' AND waiting_reason = 'budget' LIMIT 8`,
  );
}

/** An instance at rest has no call under way, and holds no slot. */
function isAtRest(state: Report["snapshot"]["state"]): boolean {
  return state === "idle" || state === "error" || state === "paused";
}
