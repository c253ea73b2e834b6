/** `console`: every line goes to standard output or standard error. */
import { host } from "./host.ts";
import { format, inspect } from "./inspect.ts";

let indent = "";
const counts = new Map<string, number>();

const print =
  (stream: 1 | 2) =>
  (...values: unknown[]): void => {
    host.out(stream, `${indent}${format(values).replaceAll("\n", `\n${indent}`)}\n`);
  };
const out = print(1);
const err = print(2);

export const console = {
  log: out,
  info: out,
  debug: out,
  error: err,
  warn: err,
  dir: (value: unknown) => out(inspect(value)),
  table: (value: unknown) => out(inspect(value)),
  trace: (...values: unknown[]) => err(`Trace: ${format(values)}`),
  assert: (ok: unknown, ...values: unknown[]) => {
    if (!ok) err(`Assertion failed${values.length > 0 ? `: ${format(values)}` : ""}`);
  },
  group: (...values: unknown[]) => {
    if (values.length > 0) out(...values);
    indent += "  ";
  },
  groupEnd: () => {
    indent = indent.slice(2);
  },
  count: (label = "default") => {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    out(`${label}: ${counts.get(label)}`);
  },
  // The clock stands still while a program computes: there is nothing to measure.
  time: () => {},
  timeLog: () => {},
  timeEnd: (label = "default") => out(`${label}: done`),
};
