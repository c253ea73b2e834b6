/**
 * How a script shares its isolate. A shell runs on promises alone, which keep timers and other objects waiting until it ends;
 * so it stops now and then for a task, in which the others have their turn.
 */

/** Computed in a row: more than this, and the others get a turn; much more, and something is wrong with the script. */
const SLICE_MS = 20;
const MAX_SLICE_MS = 3_000;
/** The same where the clock stands still while code runs: so many calls of the file system. */
const SLICE_CALLS = 50;

export class Pace {
  #since = Date.now();
  #calls = 0;

  /** Gives the others their turn, if it is time. */
  async turn(): Promise<void> {
    this.#calls += 1;
    if (this.#calls % SLICE_CALLS !== 0 && Date.now() - this.#since < SLICE_MS) return;
    await new Promise((next) => setTimeout(next, 0));
    this.rested();
  }

  /** The script has waited for something: what it computes is counted from here. */
  rested(): void {
    this.#since = Date.now();
  }

  /** It has kept the others waiting for too long, by something that can't be interrupted. */
  get overdue(): boolean {
    return Date.now() - this.#since > MAX_SLICE_MS;
  }
}
