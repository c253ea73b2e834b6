/**
 * Callers that follow an instance live. Of what happened they are notified at once. Of the answer that is being written they are
 * shown more at intervals, which are longer the more of them there are: the model's pieces may come a hundred times per second, each
 * subscriber asks again for each, and the object that serves them is the one that runs the turn.
 */
import { Notifier } from "../../platform/notifier.ts";
import type { LiveAnswer } from "./live-stream.ts";

/** Between two looks at a running answer for each subscriber, and at least, in ms. To serve one takes about 1 ms. */
const PAUSE_PER_SUBSCRIBER_MS = 10;
const MIN_PAUSE_MS = 25;
const MAX_PAUSE_MS = 2_000;

export class StreamSubscribers {
  readonly #waiting = new Notifier();
  readonly #live: () => LiveAnswer | null;
  #shown: LiveAnswer | null = null;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** There is more than was shown. */
  #more = false;
  /** How many waited when something was last shown. */
  #audience = 0;

  /** `live`: the answer that is being written. */
  constructor(live: () => LiveAnswer | null) {
    this.#live = live;
  }

  /** The running answer, as far as it is shown. */
  get shown(): LiveAnswer | null {
    const live = this.#live();
    if (this.#pause === undefined || this.#shown?.callId !== live?.callId) this.#show(live);
    return this.#shown;
  }

  /** Resolves when there may be something new, at the latest after `ms`. */
  next(ms: number): Promise<void> {
    return this.#waiting.next(ms);
  }

  /** Something happened. */
  notify(): void {
    this.#waiting.notify();
  }

  /** There is more of the running answer. The first of it is shown at once, what comes soon after it together. */
  streamed(): void {
    if (this.#pause !== undefined) {
      this.#more = true;
      return;
    }
    if (this.#waiting.waiting === 0 && this.#audience === 0) return;
    this.#audience = this.#waiting.waiting;
    const ms = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, this.#audience * PAUSE_PER_SUBSCRIBER_MS));
    this.#show(this.#live());
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#more) this.streamed();
    }, ms);
    this.#more = false;
    this.#waiting.notify();
  }

  #show(live: LiveAnswer | null): void {
    this.#shown = live && { ...live };
  }
}
