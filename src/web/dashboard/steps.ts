/**
 * A job's steps in columns: each after those that it builds on. Pure.
 */
import type { JobStep } from "../shared/records.ts";

export interface PlacedStep {
  step: JobStep;
  column: number;
  line: number;
  /** Of the steps that it builds on, those that no other of them builds on: what an arrow is drawn from. */
  from: string[];
}

export function placed(steps: readonly JobStep[]): PlacedStep[] {
  const columns = new Map<string, number>();
  const needs = new Map<string, ReadonlySet<string>>();
  // In the order of their beginning: what a step builds on stands before it.
  for (const { step, depends_on } of steps) {
    columns.set(step, Math.max(-1, ...depends_on.map((name) => columns.get(name) ?? -1)) + 1);
    needs.set(step, new Set(depends_on.flatMap((name) => [name, ...(needs.get(name) ?? [])])));
  }
  const lines = new Map<number, number>();
  return steps.map((step) => {
    const column = columns.get(step.step) ?? 0;
    const line = lines.get(column) ?? 0;
    lines.set(column, line + 1);
    const from = step.depends_on.filter(
      (name) => !step.depends_on.some((other) => other !== name && needs.get(other)?.has(name)),
    );
    return { step, column, line, from };
  });
}
