/**
 * A counting semaphore, first come, first served, for work that needs memory: the objects of an isolate share 128 MB, and a
 * program alone may take a quarter of that.
 */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Runs `work` with a permit. Rejects, and does not run it, when the signal is aborted first. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#acquire(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  #acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const acquired = () => {
        signal.removeEventListener("abort", abandon);
        resolve();
      };
      const abandon = () => {
        this.#waiting.splice(this.#waiting.indexOf(acquired), 1);
        reject(signal.reason);
      };
      this.#waiting.push(acquired);
      signal.addEventListener("abort", abandon, { once: true });
    });
  }
}
