/**
 * The gate: how many model calls of one API key run at once. It is open up to a ceiling until the API pushes back (429 or
 * 529); then the number is halved from what was in flight, and grows again by one for each round of successes. While the
 * API has asked for a pause, nobody calls it.
 */
import type { CallOutcome } from "../contracts/model-call.ts";
import { first } from "../platform/sqlite.ts";

/** Model calls at once while the API has not pushed back. */
export const GATE_CEILING = 256;
/** A place whose holder has not been heard of for this long is free again: longer than any one call is watched. */
const LEASE_MS = 15 * 60_000;
/** How long a call is held for a place before its instance is told to park: below what an RPC may comfortably last. */
const HOLD_MS = 25_000;
/** When a parked instance asks again, if no place came free while it was held. */
const ASK_AGAIN_MS = 1_000;
/** After a pause calls come back spread over this time. */
const SPREAD_MS = 500;

export interface GateState {
  /** Calls that may run at once; fractions accumulate towards the next whole one. */
  allowed: number;
  /** ms since the epoch */
  blockedUntil: number;
  /** When `allowed` was last halved: an answer to a call from before that says nothing new. */
  changedAt: number;
}

export const OPEN_GATE: GateState = { allowed: GATE_CEILING, blockedUntil: 0, changedAt: 0 };

/**
 * The gate after a call has ended. Pure. `admittedAt` is when the call was let in, `inFlight` how many ran with it, itself
 * included.
 */
export function gateAfter(
  state: GateState,
  outcome: CallOutcome,
  admittedAt: number,
  inFlight: number,
  now: number,
): GateState {
  switch (outcome.kind) {
    case "failed":
      return state;
    case "ok":
      if (state.allowed >= GATE_CEILING) return state;
      return { ...state, allowed: Math.min(GATE_CEILING, state.allowed + 1 / Math.max(1, state.allowed)) };
    case "pushed_back": {
      const blockedUntil = Math.max(state.blockedUntil, outcome.until);
      if (admittedAt <= state.changedAt) return { ...state, blockedUntil };
      return { allowed: Math.max(1, Math.floor(inFlight / 2)), blockedUntil, changedAt: now };
    }
  }
}

/** Let in, or when to ask again (ms since the epoch), and why. */
export type Entry = { granted: true } | { granted: false; until: number; reason: string };

interface Waiting {
  instanceId: string;
  decide(entry: Entry): void;
}

export class Gate {
  readonly #sql: SqlStorage;
  #state: GateState;
  /** When each instance's call was let in. */
  readonly #running = new Map<string, number>();
  readonly #queue: Waiting[] = [];

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const row = first<{ allowed: number; blocked_until: number; changed_at: number }>(
      sql,
      "SELECT allowed, blocked_until, changed_at FROM gate",
    );
    this.#state = row
      ? { allowed: row.allowed, blockedUntil: row.blocked_until, changedAt: row.changed_at }
      : OPEN_GATE;
  }

  /** A look at it: calls under way and allowed, calls held, and until when it is closed (ms since the epoch, 0: open). */
  get view(): { running: number; allowed: number; held: number; blockedUntil: number } {
    return {
      running: this.#running.size,
      allowed: Math.floor(this.#state.allowed),
      held: this.#queue.length,
      blockedUntil: this.#state.blockedUntil,
    };
  }

  /** Lets one call of an instance in, at once, or when a place comes free; or says when to ask again. */
  enter(instanceId: string, now: number, onHeld: () => void): Entry | Promise<Entry> {
    // Whoever asks has no call under way: what it had or asked for before was lost with its process.
    this.forget(instanceId);
    if (now < this.#state.blockedUntil) return this.#closed();
    if (this.#hasPlace(now)) {
      this.#running.set(instanceId, now);
      return { granted: true };
    }
    onHeld();
    return new Promise((resolve) => {
      const waiting: Waiting = {
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

  /** Gives an instance's place back. A call that this gate does not know (it restarted) counts all the same. */
  leave(instanceId: string, outcome: CallOutcome, now: number): void {
    const admittedAt = this.#running.get(instanceId) ?? now;
    const before = this.#state;
    this.#state = gateAfter(before, outcome, admittedAt, Math.max(1, this.#running.size), now);
    this.#running.delete(instanceId);
    if (this.#state !== before) this.#save();
    this.#admitHeld(now);
  }

  /** An instance that gave up waiting, or ended. */
  forget(instanceId: string): void {
    this.#running.delete(instanceId);
    const index = this.#queue.findIndex((waiting) => waiting.instanceId === instanceId);
    if (index >= 0)
      this.#queue.splice(index, 1)[0]?.decide({ granted: false, until: Date.now() + ASK_AGAIN_MS, reason: "gate" });
    this.#admitHeld(Date.now());
  }

  #admitHeld(now: number): void {
    if (now < this.#state.blockedUntil) {
      for (const waiting of this.#queue.splice(0)) waiting.decide(this.#closed());
      return;
    }
    while (this.#queue.length > 0 && this.#hasPlace(now)) {
      const waiting = this.#queue.shift();
      if (!waiting) return;
      this.#running.set(waiting.instanceId, now);
      waiting.decide({ granted: true });
    }
  }

  #closed(): Entry {
    return {
      granted: false,
      until: this.#state.blockedUntil + Math.ceil(Math.random() * SPREAD_MS),
      reason: "rate_limited",
    };
  }

  #hasPlace(now: number): boolean {
    if (this.#running.size < Math.floor(this.#state.allowed)) return true;
    for (const [id, since] of this.#running) {
      // The map keeps the order of admission: the first that is fresh ends the search.
      if (now - since < LEASE_MS) break;
      this.#running.delete(id);
    }
    return this.#running.size < Math.floor(this.#state.allowed);
  }

  #save(): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO gate (id, allowed, blocked_until, changed_at) VALUES (1, ?, ?, ?)",
      this.#state.allowed,
      this.#state.blockedUntil,
      this.#state.changedAt,
    );
  }
}
