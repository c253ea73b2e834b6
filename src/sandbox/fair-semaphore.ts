/**
 * A counting semaphore that is fair between tenants, for work that needs memory: the objects of an isolate share 128 MB. A free
 * permit goes to the tenant that holds the fewest; within a tenant, first come, first served.
 *
 * The objects of an isolate end independently of each other, and one that is gone gives nothing back. So a permit is lent for a
 * time. And what one does when it wakes another runs in the wrong object: so nobody is woken, and whoever waits looks again.
 */
import { wait } from "./wait.ts";

export interface SemaphoreOptions {
  permits: number;
  /** Of these, what one tenant may hold. */
  perTenant: number;
  /** ms after which a permit is taken to be lost. */
  loanMs: number;
}

interface Loan {
  tenant: string;
  /** ms since the epoch. */
  until: number;
}

interface Waiter {
  tenant: string;
  loan: Loan | null;
}

const LOOK_AGAIN_MS = 20;

/** A permit that is held. */
export class Permit {
  readonly #semaphore: FairSemaphore;
  readonly #signal: AbortSignal;
  readonly #tenant: string;
  #loan: Loan | null;

  constructor(semaphore: FairSemaphore, tenant: string, signal: AbortSignal, loan: Loan) {
    this.#semaphore = semaphore;
    this.#tenant = tenant;
    this.#signal = signal;
    this.#loan = loan;
  }

  /** Gives the permit back while `work` goes on, and takes one again after it. Rejects when the signal is aborted before that. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.release();
    const done = await work();
    this.#loan ??= await this.#semaphore.acquire(this.#tenant, this.#signal);
    return done;
  }

  release(): void {
    if (this.#loan) this.#semaphore.release(this.#loan);
    this.#loan = null;
  }
}

export class FairSemaphore {
  readonly #options: SemaphoreOptions;
  readonly #loans = new Set<Loan>();
  #waiters: Waiter[] = [];

  constructor(options: SemaphoreOptions) {
    this.#options = options;
  }

  /** Runs `work` with a permit. Rejects, and does not run it, when the signal is aborted first. */
  async run<T>(tenant: string, signal: AbortSignal, work: (permit: Permit) => Promise<T>): Promise<T> {
    const permit = new Permit(this, tenant, signal, await this.acquire(tenant, signal));
    try {
      return await work(permit);
    } finally {
      permit.release();
    }
  }

  /** For `Permit`. */
  async acquire(tenant: string, signal: AbortSignal): Promise<Loan> {
    signal.throwIfAborted();
    const waiter: Waiter = { tenant, loan: null };
    this.#waiters.push(waiter);
    for (;;) {
      this.#admit();
      if (signal.aborted) break;
      if (waiter.loan) return waiter.loan;
      await wait(LOOK_AGAIN_MS, signal);
    }
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
    if (waiter.loan) this.release(waiter.loan);
    throw signal.reason;
  }

  /** For `Permit`. */
  release(loan: Loan): void {
    this.#loans.delete(loan);
    this.#admit();
  }

  #admit(): void {
    const now = Date.now();
    for (const loan of this.#loans) if (loan.until < now) this.#loans.delete(loan);
    while (this.#loans.size < this.#options.permits) {
      const next = this.#next();
      if (!next) return;
      this.#waiters.splice(this.#waiters.indexOf(next), 1);
      next.loan = { tenant: next.tenant, until: now + this.#options.loanMs };
      this.#loans.add(next.loan);
    }
  }

  /** The first waiter of the tenant that holds the fewest permits, unless that is as many as a tenant may. */
  #next(): Waiter | undefined {
    const held = new Map<string, number>();
    for (const { tenant } of this.#loans) held.set(tenant, (held.get(tenant) ?? 0) + 1);
    const heldBy = ({ tenant }: Waiter) => held.get(tenant) ?? 0;
    let best: Waiter | undefined;
    for (const waiter of this.#waiters) if (!best || heldBy(waiter) < heldBy(best)) best = waiter;
    return best && heldBy(best) < this.#options.perTenant ? best : undefined;
  }
}
