/**
 * Each tenant's share of an isolate's time. An isolate does one thing at a time, and what a shell or a program computes keeps
 * everything else in it waiting. They compute in slices, and after a slice its tenant rests, in proportion to what all of its
 * scripts and programs have computed: briefly while nobody else has anything to do, for long once somebody has.
 */
import { wait } from "./wait.ts";

/** ms of rest for each ms computed, and for each tenant that computes: while the isolate is theirs alone, and while it is not. */
const REST_ALONE = 0.5;
const REST_AMONG_OTHERS = 4;
/** ms for which others count as there, after they were seen. */
const SEEN_MS = 500;
/** ms by which a rest has to be longer than it was meant to be, because others had their turn. */
const LATE_MS = 2;
/** ms of rest that a tenant is let off after it has not computed for so long: short scripts never rest. */
const CREDIT_MS = 300;
/** ms after which a tenant no longer counts as one that computes. */
const ACTIVE_MS = 1_000;

/** What was computed in a row. */
export interface Slice {
  /** ms that its work takes, about. */
  ms: number;
  /** When it began, in ms since the epoch. */
  since: number;
}

export class ComputeShare {
  /** When each tenant may compute again, in ms since the epoch. */
  readonly #freeAt = new Map<string, number>();
  /** ms that all have computed so far. */
  #computed = 0;
  #othersSeen = Number.NEGATIVE_INFINITY;

  /** Accounts for a slice, and resolves when the tenant may go on: always in a task of its own. */
  async rest(tenant: string, slice: Slice, signal?: AbortSignal): Promise<void> {
    this.account(tenant, slice);
    await this.turn(tenant, signal);
  }

  /** Accounts for a slice. How long it was is known from its work, and where the clock goes on while code runs, from that. */
  account(tenant: string, { ms, since }: Slice): void {
    const now = Date.now();
    const computed = now > since ? Math.min(Math.max(now - since, ms / 4), ms * 2) : ms;
    this.#computed += computed;
    for (const [other, at] of this.#freeAt) if (at < now - ACTIVE_MS) this.#freeAt.delete(other);
    const from = Math.max(this.#freeAt.get(tenant) ?? 0, now - CREDIT_MS);
    this.#freeAt.set(tenant, from);
    const rest = now - this.#othersSeen < SEEN_MS ? REST_AMONG_OTHERS : REST_ALONE;
    // A rest begins where the tenant's last one ends, so that its scripts go on in the order of coming.
    this.#freeAt.set(tenant, from + computed * rest * this.#freeAt.size);
  }

  /** Resolves when the tenant may compute: at the end of the rest for what was accounted for so far. */
  async turn(tenant: string, signal?: AbortSignal): Promise<void> {
    const from = Date.now();
    const ms = Math.max(0, (this.#freeAt.get(tenant) ?? 0) - from);
    const computed = this.#computed;
    await wait(ms, signal);
    const late = Date.now() - from - ms - (this.#computed - computed);
    if (!signal?.aborted && late >= LATE_MS) this.#othersSeen = Date.now();
  }
}

/** Of this isolate. */
export const computeShare = new ComputeShare();
