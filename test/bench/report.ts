/**
 * What was measured, as a table for people and as JSON for comparisons.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { percentile, type Times } from "./measure.ts";
import type { Row } from "./row.ts";

export interface Result {
  name: string;
  floorName: string;
  unit: string;
  n: number;
  product: { p50: number; p95: number };
  floor: { p50: number; p95: number };
  /** The product's p50 in floors. */
  ratio: number;
  /** The highest ratio that is good enough; null for a row that is only shown. */
  target: number | null;
  met: boolean;
}

export function resultOf({ name, floorName, target, unit = "ms" }: Row, { product, floor }: Times): Result {
  const both = (times: readonly number[]) => ({ p50: percentile(times, 0.5), p95: percentile(times, 0.95) });
  const ratio = percentile(product, 0.5) / percentile(floor, 0.5);
  return {
    name,
    floorName,
    unit,
    n: product.length,
    product: both(product),
    floor: both(floor),
    ratio,
    target,
    met: target === null || ratio <= target,
  };
}

const WIDTHS = [58, 4, 5, 9, 9, 9, 9, 7, 8, 7] as const;

function line(...cells: readonly (string | number)[]): string {
  const padded = cells.map((cell, i) => {
    const text = typeof cell === "number" ? cell.toFixed(2) : cell;
    return i === 0 ? text.padEnd(WIDTHS[i] ?? 0) : text.padStart(WIDTHS[i] ?? 0);
  });
  return padded.join(" ").trimEnd();
}

export const HEADER = line("", "", "n", "p50", "p95", "floor50", "floor95", "ratio", "target", "");

export function lineOf(result: Result): string {
  const { name, unit, n, product, floor, ratio, target, met } = result;
  return line(
    name,
    unit,
    String(n),
    product.p50,
    product.p95,
    floor.p50,
    floor.p95,
    ratio,
    target === null ? "-" : `<= ${target}`,
    target === null ? "" : met ? "met" : "MISSED",
  );
}

export function writeJson(path: string, runtime: string, results: readonly Result[]): void {
  mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, node: process.version, workerd: runtime };
  const report = { at: new Date().toISOString(), machine, rows: results };
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
}

/** `bench: 5 of 6 targets met (missed: spawn_claude 1.71 > 1.5)` */
export function summary(results: readonly Result[]): string {
  const judged = results.filter(({ target }) => target !== null);
  const missed = judged.filter(({ met }) => !met);
  const named = (missed.length > 0 ? missed : judged).map(
    ({ name, ratio, target }) => `${name} ${ratio.toFixed(2)} ${missed.length > 0 ? ">" : "<="} ${target}`,
  );
  const which = `${missed.length > 0 ? "missed: " : ""}${named.join("; ")}`;
  return `bench: ${judged.length - missed.length} of ${judged.length} targets met (${which})`;
}
