/** When two JSON values are the same, for JSON Schema: by content, whatever the order of an object's properties. */
import { type Evaluation, Unfinished } from "./rule.ts";
import { isObject } from "./schema.ts";

/** Levels of a value that has to be told apart from others: more has no stack. */
const MAX_LEVELS = 400;

type Work = Pick<Evaluation, "spend" | "keys">;

/** A text that equal values, and no others, have in common. */
export function canonical(value: unknown, run: Work, level = 0): string {
  if (level > MAX_LEVELS) throw new Unfinished("it is nested too deep");
  if (typeof value === "string") {
    run.spend(1 + value.length / 64);
    return JSON.stringify(value);
  }
  run.spend(1);
  if (Array.isArray(value)) {
    return `[${joined(
      value.map((item) => canonical(item, run, level + 1)),
      run,
    )}]`;
  }
  if (!isObject(value)) return JSON.stringify(value === 0 ? 0 : value);
  const names = run.keys(value);
  run.spend(names.length);
  const parts = [...names].sort().map((name) => `${canonical(name, run)}:${canonical(value[name], run, level + 1)}`);
  return `{${joined(parts, run)}}`;
}

/** On every level, the texts of all levels below are copied. */
function joined(parts: readonly string[], run: Work): string {
  run.spend(parts.reduce((sum, part) => sum + part.length, 0) / 64);
  return parts.join(",");
}

/** One of the two is part of a schema, which bounds how deep they are compared. */
export function isEqual(one: unknown, other: unknown, run: Work): boolean {
  run.spend(1);
  // Texts of different lengths are told apart at once.
  if (typeof one === "string" && typeof other === "string" && one.length === other.length) run.spend(one.length / 64);
  if (one === other) return true;
  if (Array.isArray(one)) {
    return (
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, index) => isEqual(item, other[index], run))
    );
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = run.keys(one);
  return (
    names.length === run.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isEqual(one[name], other[name], run))
  );
}
