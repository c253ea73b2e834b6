/**
 * Wakes callers that wait for rows to change (long polls). They hold nothing: each reads the rows again.
 */
export class Notifier {
  readonly #waiting = new Set<() => void>();

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves at the next `notify`, at the latest after `ms`. */
  next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  notify(): void {
    for (const done of [...this.#waiting]) done();
  }
}
