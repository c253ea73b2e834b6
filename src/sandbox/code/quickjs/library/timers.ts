/** Timers. A program lives as long as one of them is waiting. */
import { call } from "./calls.ts";
import { host } from "./host.ts";
import { fatal } from "./process.ts";

type Callback = (...args: unknown[]) => unknown;

const waiting = new Set<number>();
let last = 0;

function schedule(run: () => unknown, ms: unknown, again: boolean): number {
  const id = ++last;
  const wait = (): void => {
    call("sleep", Math.max(1, Number(ms) || 0), id)
      .then(() => {
        if (!waiting.has(id)) return;
        if (again) wait();
        else waiting.delete(id);
        run();
      })
      .catch(fatal);
  };
  waiting.add(id);
  wait();
  return id;
}

export function setTimeout(run: Callback, ms?: unknown, ...args: unknown[]): number {
  return schedule(() => run(...args), ms, false);
}

export function setInterval(run: Callback, ms?: unknown, ...args: unknown[]): number {
  return schedule(() => run(...args), ms, true);
}

export function setImmediate(run: Callback, ...args: unknown[]): number {
  return setTimeout(run, 0, ...args);
}

/** Takes the id of any of them. */
export function clearTimer(id: number): void {
  if (waiting.delete(id)) host.wake(id);
}
