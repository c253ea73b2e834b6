/**
 * The terms on which a tenant's instances work: what the deployment's configuration says, unless a limit was set, and what is
 * left of it.
 */
import type { Config } from "../../contracts/config.ts";
import type { LimitChange, LimitsAnswer, Standing } from "../../contracts/orchestrator.ts";
import { unknownInstance } from "../../contracts/refusals.ts";
import type { Origin } from "../../contracts/request-origin.ts";
import { ok, type Result } from "../../platform/errors.ts";
import { recall, remember } from "../../platform/idempotency.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { fundsOf, purseOf } from "../budget/balances.ts";
import type { Caps } from "../budget/ledger.ts";
import { recordCall } from "../store/audit-record.ts";
import { rowOf } from "../store/instance-rows.ts";
import { changeLimits, limitsOf, TENANT, tenantLimits } from "../store/limits.ts";
import { enqueue } from "../store/outbox.ts";
import type { SpawnRules } from "./spawning.ts";
import { pausedWithin } from "./tree.ts";

export class Terms {
  readonly #storage: DurableObjectStorage;
  readonly #config: Config;

  constructor(storage: DurableObjectStorage, config: Config) {
    this.#storage = storage;
    this.#config = config;
  }

  get caps(): Caps {
    return {
      tenantNano: tenantLimits(this.#storage.sql, this.#config).maxCostNano,
      ownTokens: this.#config.maxTokensPerInstance,
    };
  }

  get spawning(): SpawnRules {
    return {
      maxInstances: tenantLimits(this.#storage.sql, this.#config).maxInstances,
      maxDepth: this.#config.maxDepth,
      maxChildren: this.#config.maxChildren,
      timeoutMinutes: this.#config.instanceTimeoutMinutes,
      simulated: this.#config.anthropicApiKey === null,
      defaults: this.#config,
    };
  }

  /** For how long an instance may have nothing to do, in ms. */
  idleTimeoutMs(instanceId: string): number {
    const minutes = limitsOf(this.#storage.sql, instanceId).timeout_minutes ?? this.#config.instanceTimeoutMinutes;
    return minutes * 60_000;
  }

  /** What binds an instance that there is. */
  standing(instanceId: string): Standing {
    const { sql } = this.#storage;
    const turn = limitsOf(sql, instanceId).max_turn_minutes;
    return {
      funds: fundsOf(sql, instanceId, this.caps),
      idleTimeoutMs: this.idleTimeoutMs(instanceId),
      maxTurnMs: turn === null ? null : turn * 60_000,
    };
  }

  /** The limits of an instance or (null) the tenant, and what is left of them. */
  purse(instanceId: string | null): Pick<LimitsAnswer, "limits" | "remaining"> {
    return purseOf(this.#storage.sql, instanceId, this.#config, this.caps);
  }

  /** Changes limits of an instance or (null) the tenant. The outbox tells whoever has to hear of it. `not_found`. */
  change(
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
      // Everyone whose limits changed has to hear of it; who is paused goes on.
      const heard = instanceId === null ? resumed : [...new Set([instanceId, ...resumed])];
      for (const id of heard) enqueue(tx, id, "wake", now);
      recordCall(tx, audit, instanceId, now);
      const { limits, remaining } = this.purse(instanceId);
      return remember(tx, idempotency, ok({ limits, remaining, resumed }), now);
    });
  }
}
