/**
 * A job's steps in columns: each after those that it builds on. Pure.
 */
import type { JobStep } from "./records.ts";

export interface PlacedStep {
  step: JobStep;
  column: number;
  line: number;
}

export function placed(steps: readonly JobStep[]): PlacedStep[] {
  const columns = new Map<string, number>();
  // In the order of their beginning: what a step builds on stands before it.
  for (const { step, depends_on } of steps) {
    columns.set(step, Math.max(-1, ...depends_on.map((name) => columns.get(name) ?? -1)) + 1);
  }
  const lines = new Map<number, number>();
  return steps.map((step) => {
    const column = columns.get(step.step) ?? 0;
    const line = lines.get(column) ?? 0;
    lines.set(column, line + 1);
    return { step, column, line };
  });
}
