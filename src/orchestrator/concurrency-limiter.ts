/**
 * The adaptive concurrency limiter (AIMD) of a tenant's model calls: additive increase, multiplicative decrease. Calls run freely
 * up to a ceiling until the API pushes back (429 or 529). Then the limit is half of what was in flight, and it grows by one for
 * each round of successes. While the API asks for a pause, no call is admitted.
 */
import type { CallOutcome } from "../contracts/model-call.ts";
import { first } from "../platform/sqlite.ts";

/** Model calls at once while the API has not pushed back. */
export const MAX_CONCURRENT_CALLS = 256;
/** A slot whose holder was not heard of for this long is free again: longer than any call may take. */
const LEASE_MS = 15 * 60_000;
/** How long a call waits in the queue before its instance is told to ask again: less than an RPC may comfortably last. */
const HOLD_MS = 25_000;
/** When an instance asks again for which no slot came free. */
const ASK_AGAIN_MS = 1_000;
/** After a pause, calls come back spread over this time. */
const SPREAD_MS = 500;

export interface LimiterState {
  /** Calls that may run at once; fractions accumulate towards the next whole one. */
  allowed: number;
  /** ms since the epoch */
  blockedUntil: number;
  /** When `allowed` was last halved: the failure of a call from before that is no further reason. */
  changedAt: number;
}

export const UNLIMITED: LimiterState = { allowed: MAX_CONCURRENT_CALLS, blockedUntil: 0, changedAt: 0 };

/**
 * The state after a call has ended. Pure. `admittedAt`: when the call got its slot. `inFlight`: how many ran with it, itself
 * included.
 */
export function stateAfter(
  state: LimiterState,
  outcome: CallOutcome,
  admittedAt: number,
  inFlight: number,
  now: number,
): LimiterState {
  switch (outcome.kind) {
    case "failed":
      return state;
    case "ok":
      if (state.allowed >= MAX_CONCURRENT_CALLS) return state;
      return { ...state, allowed: Math.min(MAX_CONCURRENT_CALLS, state.allowed + 1 / Math.max(1, state.allowed)) };
    case "pushed_back": {
      const blockedUntil = Math.max(state.blockedUntil, outcome.until);
      if (admittedAt <= state.changedAt) return { ...state, blockedUntil };
      return { allowed: Math.max(1, Math.floor(inFlight / 2)), blockedUntil, changedAt: now };
    }
  }
}

/** A slot, or when to ask for one again (ms since the epoch), and why. */
export type SlotAnswer = { granted: true } | { granted: false; until: number; reason: string };

interface QueuedCall {
  instanceId: string;
  decide(entry: SlotAnswer): void;
}

export class ConcurrencyLimiter {
  readonly #sql: SqlStorage;
  #state: LimiterState;
  /** When each instance got its slot. */
  readonly #running = new Map<string, number>();
  readonly #queue: QueuedCall[] = [];

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const row = first<{ allowed: number; blocked_until: number; changed_at: number }>(
      sql,
      "SELECT allowed, blocked_until, changed_at FROM concurrency_limiter",
    );
    this.#state = row
      ? { allowed: row.allowed, blockedUntil: row.blocked_until, changedAt: row.changed_at }
      : UNLIMITED;
  }

  /** Calls under way, allowed and queued, and until when none is admitted (ms since the epoch; 0: no pause). */
  get view(): { running: number; allowed: number; queued: number; blockedUntil: number } {
    return {
      running: this.#running.size,
      allowed: Math.floor(this.#state.allowed),
      queued: this.#queue.length,
      blockedUntil: this.#state.blockedUntil,
    };
  }

  /** Gives an instance a slot, at once or when one comes free, or says when to ask again. `onQueued`: it waits for one. */
  acquire(instanceId: string, now: number, onQueued: () => void): SlotAnswer | Promise<SlotAnswer> {
    // An instance that asks has no call under way: an earlier one was lost with its process.
    this.abandon(instanceId);
    if (now < this.#state.blockedUntil) return this.#paused();
    if (this.#hasSlot(now)) {
      this.#running.set(instanceId, now);
      return { granted: true };
    }
    onQueued();
    return new Promise((resolve) => {
      const waiting: QueuedCall = {
        instanceId,
        decide: (entry) => {
          clearTimeout(timer);
          resolve(entry);
        },
      };
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        resolve({ granted: false, until: Date.now() + ASK_AGAIN_MS, reason: "gate" });
      }, HOLD_MS);
      this.#queue.push(waiting);
    });
  }

  /** Takes an instance's slot back. A call that this object does not know of, because it restarted, counts all the same. */
  release(instanceId: string, outcome: CallOutcome, now: number): void {
    const admittedAt = this.#running.get(instanceId) ?? now;
    const before = this.#state;
    this.#state = stateAfter(before, outcome, admittedAt, Math.max(1, this.#running.size), now);
    this.#running.delete(instanceId);
    if (this.#state !== before) this.#save();
    this.#admitQueued(now);
  }

  /** The instance has given up, or has ended: frees its slot, or takes it out of the queue. */
  abandon(instanceId: string): void {
    this.#running.delete(instanceId);
    const index = this.#queue.findIndex((waiting) => waiting.instanceId === instanceId);
    if (index >= 0)
      this.#queue.splice(index, 1)[0]?.decide({ granted: false, until: Date.now() + ASK_AGAIN_MS, reason: "gate" });
    this.#admitQueued(Date.now());
  }

  #admitQueued(now: number): void {
    if (now < this.#state.blockedUntil) {
      for (const waiting of this.#queue.splice(0)) waiting.decide(this.#paused());
      return;
    }
    while (this.#queue.length > 0 && this.#hasSlot(now)) {
      const waiting = this.#queue.shift();
      if (!waiting) return;
      this.#running.set(waiting.instanceId, now);
      waiting.decide({ granted: true });
    }
  }

  #paused(): SlotAnswer {
    return {
      granted: false,
      until: this.#state.blockedUntil + Math.ceil(Math.random() * SPREAD_MS),
      reason: "rate_limited",
    };
  }

  #hasSlot(now: number): boolean {
    if (this.#running.size < Math.floor(this.#state.allowed)) return true;
    for (const [id, since] of this.#running) {
      // The map is in the order of admission, so the first recent one ends the search.
      if (now - since < LEASE_MS) break;
      this.#running.delete(id);
    }
    return this.#running.size < Math.floor(this.#state.allowed);
  }

  #save(): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO concurrency_limiter (id, allowed, blocked_until, changed_at) VALUES (1, ?, ?, ?)",
      this.#state.allowed,
      this.#state.blockedUntil,
      this.#state.changedAt,
    );
  }
}
