/** When two values are the same, as `node:assert` compares them. */

/** `==`, and NaN is itself. */
export function looselyEqual(a: unknown, b: unknown): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: this is the comparison that is asked for
  return a == b || (Number.isNaN(a) && Number.isNaN(b));
}

/** The whole of both values. `strict`: primitives as `Object.is` has it, and prototypes count. Circles are followed once. */
export function same(a: unknown, b: unknown, strict: boolean, seen = new Map<unknown, unknown>()): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return !strict && !isObject(a) && !isObject(b) && looselyEqual(a, b);
  if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  const inner = (x: unknown, y: unknown) => same(x, y, strict, seen);
  if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp && b instanceof RegExp) return String(a) === String(b);
  if (a instanceof Error && b instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && inner(value, b.get(key)));
  }
  if (a instanceof Set && b instanceof Set) {
    return a.size === b.size && [...a].every((value) => b.has(value) || [...b].some((other) => inner(value, other)));
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    left.length === right.length &&
    keys.every((key) => Object.hasOwn(right, key) && inner(left[key], right[key]))
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
