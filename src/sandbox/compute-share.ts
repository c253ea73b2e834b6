/**
 * Each tenant's share of an isolate's time. An isolate does one thing at a time, and what a shell or a program computes keeps
 * everything else in it waiting. They compute in slices, and after a slice its tenant rests for as long as the slice was, times
 * `REST`: of all scripts and programs of a tenant together. How long it was is known from the work in it, and where the clock does
 * not stand still while code runs, also from that.
 */
import { wait } from "./wait.ts";

/** ms of rest for each ms computed, and for each tenant that computes: all of them together take at most a third of the time. */
const REST = 2;
/** ms of rest that a tenant is let off after it has not computed for so long: short scripts never rest. */
const CREDIT_MS = 300;
/** ms after which a tenant no longer counts as one that computes. */
const ACTIVE_MS = 1_000;

export interface Slice {
  ms: number;
  since: number;
}

export class ComputeShare {
  /** When each tenant may compute again, in ms since the epoch. */
  readonly #freeAt = new Map<string, number>();

  /**
   * Accounts for a slice, and resolves when the tenant may go on: always in a task of its own. `ms`: what its work takes, about;
   * `since`: when it began, in ms since the epoch.
   */
  async rest(tenant: string, { ms, since }: Slice, signal?: AbortSignal): Promise<void> {
    const now = Date.now();
    const computed = now > since ? Math.min(Math.max(now - since, ms / 4), ms * 2) : ms;
    for (const [other, at] of this.#freeAt) if (at < now - ACTIVE_MS) this.#freeAt.delete(other);
    const from = Math.max(this.#freeAt.get(tenant) ?? 0, now - CREDIT_MS);
    this.#freeAt.set(tenant, from);
    // A rest begins where the tenant's last one ends, so that its scripts go on in the order of coming.
    const until = from + computed * REST * this.#freeAt.size;
    this.#freeAt.set(tenant, until);
    await wait(Math.max(0, until - now), signal);
  }
}

/** Of this isolate. */
export const computeShare = new ComputeShare();
