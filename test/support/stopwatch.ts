/**
 * Time as a promise of "less than a second" means it: on a machine that is not busy with something else.
 */
import { onTestFinished } from "vitest";

const TICK_MS = 10;

/**
 * Starts to count milliseconds, and returns what reads them. Of a stretch in which the machine let no timer fire, two ticks count
 * and no more: waiting is measured, and not how many others are at work beside the test.
 */
export function stopwatch(): () => number {
  let counted = 0;
  let last = performance.now();
  const tick = () => {
    const now = performance.now();
    counted += Math.min(now - last, 2 * TICK_MS);
    last = now;
  };
  const timer = setInterval(tick, TICK_MS);
  onTestFinished(() => clearInterval(timer));
  return () => {
    tick();
    return counted;
  };
}
