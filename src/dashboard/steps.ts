/**
 * A job's steps in columns: each after those that it builds on. Pure.
 */
import type { JobStep } from "./records.ts";

/** The order of kinds within a job whose steps name no dependencies. */
const PHASES: Record<string, number> = {
  split: 0,
  plan: 0,
  propose: 0,
  cluster: 1,
  work: 1,
  task: 1,
  vote: 2,
  tiebreak: 3,
  result: 9,
};

/** Votes come in rounds, which stand in their names: `vote:2:0`. */
function phaseOf({ kind, step }: JobStep): number {
  const round = kind === "vote" ? Number(step.split(":")[1] ?? 0) : 0;
  return (PHASES[kind] ?? 1) + round / 100;
}

export interface PlacedStep {
  step: JobStep;
  column: number;
  line: number;
  /** The steps that it builds on. */
  from: string[];
}

export function placed(steps: readonly JobStep[], type: string): PlacedStep[] {
  const columns = new Map<string, number>();
  const byName = new Map(steps.map((step) => [step.step, step]));
  const before = (step: JobStep, i: number): string[] => {
    if (step.depends_on && step.depends_on.length > 0) return step.depends_on.filter((name) => byName.has(name));
    if (type === "sequential") return i === 0 ? [] : [steps[i - 1]?.step ?? ""];
    const earlier = steps.filter((one) => phaseOf(one) < phaseOf(step));
    const last = Math.max(...earlier.map(phaseOf));
    return earlier.filter((one) => phaseOf(one) === last).map((one) => one.step);
  };
  const froms = steps.map(before);
  steps.forEach((step, i) => {
    const column = Math.max(-1, ...(froms[i] ?? []).map((name) => columns.get(name) ?? -1)) + 1;
    columns.set(step.step, column);
  });
  const lines = new Map<number, number>();
  return steps.map((step, i) => {
    const column = columns.get(step.step) ?? 0;
    const line = lines.get(column) ?? 0;
    lines.set(column, line + 1);
    return { step, column, line, from: froms[i] ?? [] };
  });
}
