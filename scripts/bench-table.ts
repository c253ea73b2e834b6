/**
 * Writes the table of bench-results/latest.json between the marks in the README. `npm run bench:table`, after a whole run.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface Report {
  at: string;
  machine: { cpu: string; cores: number; node: string; workerd: string };
  rows: {
    name: string;
    floorName: string;
    unit: string;
    product: { p50: number };
    floor: { p50: number };
    ratio: number;
    target: number | null;
  }[];
}

const BEGIN = "<!-- bench -->";
const END = "<!-- /bench -->";

const { at, machine, rows } = JSON.parse(readFileSync("bench-results/latest.json", "utf8")) as Report;
const lines = rows.map(({ name, floorName, unit, product, floor, ratio, target }) => {
  const figure = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
  const goal = target === null ? "" : `≤ ${target}`;
  return `| ${name} | ${figure(product.p50)} | ${figure(floor.p50)}: ${floorName} | ${ratio.toFixed(2)} | ${goal} |`;
});
const table = [
  BEGIN,
  `Medians of ${at.slice(0, 10)}, ${machine.cores} × ${machine.cpu}, workerd ${machine.workerd}.`,
  "",
  "| | Madrox | the floor | ratio | target |",
  "|---|---|---|---|---|",
  ...lines,
  END,
].join("\n");
const readme = readFileSync("README.md", "utf8");
const [before, rest] = readme.split(BEGIN);
const after = rest?.split(END)[1];
if (before === undefined || after === undefined) throw new Error(`The README has no ${BEGIN} ... ${END}.`);
writeFileSync("README.md", before + table + after);
