/** When two JSON values are the same, for JSON Schema: by content, whatever the order of an object's properties. */
import { type Evaluation, Unfinished } from "./rule.ts";
import { isObject } from "./schema.ts";

/** Levels of a value that has to be told apart from others: more has no stack. */
const MAX_LEVELS = 400;

/** A text that equal values, and no others, have in common. */
export function canonical(value: unknown, run: Pick<Evaluation, "spend">, level = 0): string {
  if (level > MAX_LEVELS) throw new Unfinished("it is nested too deep");
  if (typeof value === "string") {
    run.spend(1 + value.length / 64);
    return JSON.stringify(value);
  }
  run.spend(1);
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, run, level + 1)).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value === 0 ? 0 : value);
  const parts = Object.keys(value)
    .sort()
    .map((name) => `${canonical(name, run)}:${canonical(value[name], run, level + 1)}`);
  return `{${parts.join(",")}}`;
}

/** One of the two is part of a schema, which bounds how deep they are compared. */
export function isEqual(one: unknown, other: unknown, run: Pick<Evaluation, "spend">): boolean {
  run.spend(1);
  if (one === other) return true;
  if (Array.isArray(one)) {
    return (
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, index) => isEqual(item, other[index], run))
    );
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isEqual(one[name], other[name], run))
  );
}
