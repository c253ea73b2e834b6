/**
 * The effective policy of a tenant: the limits that were set, and the deployment's configuration where none was.
 */
import type { Config } from "../../contracts/config.ts";
import type { EffectiveLimits, LimitChange, LimitsAnswer } from "../../contracts/orchestrator.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import type { Origin } from "../../contracts/request-origin.ts";
import { ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { fundsOf, limitsAndRemaining } from "../budget/balances.ts";
import type { DefaultCaps } from "../budget/ledger.ts";
import { recordCall } from "../store/audit-record.ts";
import { rowOf } from "../store/instance-rows.ts";
import { changeLimits, limitsOf, TENANT, tenantLimits } from "../store/limits.ts";
import { enqueue } from "../store/outbox.ts";
import type { SpawnRules } from "./spawning.ts";
import { pausedWithin } from "./tree.ts";

export class EffectivePolicy {
  readonly #storage: DurableObjectStorage;
  readonly #config: Config;

  constructor(storage: DurableObjectStorage, config: Config) {
    this.#storage = storage;
    this.#config = config;
  }

  get caps(): DefaultCaps {
    return {
      tenantNano: tenantLimits(this.#storage.sql, this.#config).maxCostNano,
      ownTokens: this.#config.maxTokensPerInstance,
    };
  }

  get spawnRules(): SpawnRules {
    return {
      maxInstances: tenantLimits(this.#storage.sql, this.#config).maxInstances,
      maxDepth: this.#config.maxDepth,
      maxChildren: this.#config.maxChildren,
      timeoutMinutes: this.#config.instanceTimeoutMinutes,
      simulated: this.#config.anthropicApiKey === null,
      defaults: this.#config,
    };
  }

  /** How long an instance may be idle, in ms. */
  idleTimeoutMs(instanceId: string): number {
    const minutes = limitsOf(this.#storage.sql, instanceId).timeout_minutes ?? this.#config.instanceTimeoutMinutes;
    return minutes * 60_000;
  }

  /** The limits that bind an existing instance. */
  limitsFor(instanceId: string): EffectiveLimits {
    const { sql } = this.#storage;
    const turn = limitsOf(sql, instanceId).max_turn_minutes;
    return {
      funds: fundsOf(sql, instanceId, this.caps),
      idleTimeoutMs: this.idleTimeoutMs(instanceId),
      maxTurnMs: turn === null ? null : turn * 60_000,
    };
  }

  /** The limits of an instance or (null) the tenant, and what is left of them. */
  limitsAndRemaining(instanceId: string | null): Pick<LimitsAnswer, "limits" | "remaining"> {
    return limitsAndRemaining(this.#storage.sql, instanceId, this.#config, this.caps);
  }

  /** Changes limits of an instance or (null) the tenant; the outbox wakes the instances that this concerns. `not_found`. */
  setLimits(
    instanceId: string | null,
    change: LimitChange,
    { idempotency, audit }: Origin,
    now: number,
  ): Result<LimitsAnswer> {
    return inTransaction(this.#storage, (tx): Result<LimitsAnswer> => {
      const known = recall<LimitsAnswer>(tx, idempotency);
      if (known) return known;
      if (instanceId !== null && !rowOf(tx, instanceId)) return unknownInstance(instanceId);
      changeLimits(tx, instanceId ?? TENANT, change);
      const resumed = pausedWithin(tx, instanceId);
      // The instance itself takes the new limits over, and those that are paused go on.
      const concerned = instanceId === null ? resumed : [...new Set([instanceId, ...resumed])];
      for (const id of concerned) enqueue(tx, id, "wake", now);
      recordCall(tx, audit, instanceId, now);
      const { limits, remaining } = this.limitsAndRemaining(instanceId);
      return remember(tx, idempotency, ok({ limits, remaining, resumed }), now);
    });
  }
}
