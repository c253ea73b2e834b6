/**
 * What one script computes, as work: in units of the meter in its interpreter (scripts/meter-shell.ts). It is bounded for the whole
 * script and for each step, which is what nothing can get in between: from one rest to the next.
 */
import { computeShare } from "../compute-share.ts";
import { SLICE_UNITS, type WorkLimits } from "./work-limits.ts";

const UNITS_PER_MS = 50_000;
/** How often the meter is looked at. */
const GRANT = 10_000;
/** Where the clock goes on while code runs, it has a word, too: for what the meter does not see. */
const MAX_STEP_MS = 5_000;

/** What the interpreter may do after its script was stopped. */
const ENDING_UNITS = 200_000;

/** The script is stopped. */
export class ScriptStopped extends Error {}

export class ScriptMeter {
  readonly #tenant: string;
  readonly #signal: AbortSignal;
  readonly #limits: WorkLimits;
  readonly #stop: () => void;
  #ending = ENDING_UNITS;
  #total = 0;
  #step = 0;
  #largestStep = 0;
  #stepMs = 0;
  /** When the clock was last looked at, in ms since the epoch. */
  #looked = Date.now();
  #stopped: string | null = null;

  /** `stop` is called once, when the script has done too much. */
  constructor(parts: { tenant: string; signal: AbortSignal; limits: WorkLimits; stop: () => void }) {
    this.#tenant = parts.tenant;
    this.#signal = parts.signal;
    this.#limits = parts.limits;
    this.#stop = parts.stop;
  }

  /** A sentence that says why it was stopped, or null. */
  get stopped(): string | null {
    return this.#stopped;
  }

  /** Units of the largest step so far, and of all. */
  get work(): { step: number; total: number } {
    return { step: Math.max(this.#largestStep, this.#step), total: this.#total };
  }

  get due(): boolean {
    return this.#step >= SLICE_UNITS;
  }

  /** Takes account of work. Throws when it is too much. Returns how much may be done before it is asked again. */
  count(units: number): number {
    if (this.#stopped !== null) return this.#end(units);
    const now = Date.now();
    this.#stepMs += now - this.#looked;
    this.#looked = now;
    this.#total += units;
    this.#step += units;
    if (this.#step > this.#limits.step || this.#stepMs > MAX_STEP_MS) {
      this.#stopped =
        "Stopped: one step of it computed for too long. Give a command less at once: fewer lines, a simpler expression.";
    } else if (this.#total > this.#limits.script) this.#stopped = "Stopped: it computed for too long.";
    if (this.#stopped === null) return GRANT;
    this.#stop();
    throw new ScriptStopped(this.#stopped);
  }

  /** The interpreter puts its things in order. It was thrown out of what it did, and begins no other command. */
  #end(units: number): number {
    this.#ending -= units;
    if (this.#ending > 0) return GRANT;
    throw new ScriptStopped(this.#stopped ?? undefined);
  }

  /** Lets others compute. A new step begins. */
  async rest(): Promise<void> {
    this.account();
    await computeShare.turn(this.#tenant, this.#signal);
    this.waited();
  }

  /** Accounts for what was computed since the last rest, also when the script ends or was stopped. */
  account(): void {
    computeShare.account(this.#tenant, { ms: this.#step / UNITS_PER_MS, since: this.#looked - this.#stepMs });
    this.#largestStep = Math.max(this.#largestStep, this.#step);
    this.#step = 0;
    this.#stepMs = 0;
  }

  /** It has waited for something: that is not time that it computed. */
  waited(): void {
    this.#looked = Date.now();
  }
}
