/**
 * Cooperative yielding of a script. A shell runs on promises alone, which keep timers and other objects waiting until it
 * ends; so it yields now and then: the rest of it runs in a new task, behind what waits.
 */

/** Computed in a row: more than this, and the others get a turn; much more, and something is wrong with the script. */
const SLICE_MS = 20;
const MAX_SLICE_MS = 3_000;
/** The same where the clock stands still while code runs: so many calls of the file system. */
const SLICE_CALLS = 50;

export class TimeSlice {
  #since = Date.now();
  #calls = 0;

  /** Yields, if it is time. */
  async yieldIfDue(): Promise<void> {
    this.#calls += 1;
    if (this.#calls % SLICE_CALLS !== 0 && Date.now() - this.#since < SLICE_MS) return;
    await new Promise((next) => setTimeout(next, 0));
    this.restart();
  }

  /** The script has waited for something: a new slice begins. */
  restart(): void {
    this.#since = Date.now();
  }

  /** It has kept the others waiting for too long, by something that can't be interrupted. */
  get exceeded(): boolean {
    return Date.now() - this.#since > MAX_SLICE_MS;
  }
}
