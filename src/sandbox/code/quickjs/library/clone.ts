/** `structuredClone`, for what a program here can hold. */

/** Throws `TypeError` for functions and symbols, wherever they are in the value. */
export function structuredClone<T>(value: T): T {
  return copy(value, new Map()) as T;
}

function copy(value: unknown, known: Map<object, unknown>): unknown {
  if (typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`${String(value)} could not be cloned.`);
  }
  if (typeof value !== "object" || value === null) return value;
  if (known.has(value)) return known.get(value);
  if (value instanceof Date) return new Date(value);
  // biome-ignore lint/plugin: this runs inside the sandbox, on its own engine.
  if (value instanceof RegExp) return new RegExp(value);
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice();
  if (value instanceof Map) {
    const made = new Map();
    known.set(value, made);
    for (const [key, held] of value) made.set(copy(key, known), copy(held, known));
    return made;
  }
  if (value instanceof Set) {
    const made = new Set();
    known.set(value, made);
    for (const held of value) made.add(copy(held, known));
    return made;
  }
  const made: Record<string, unknown> = Array.isArray(value) ? ([] as unknown as Record<string, unknown>) : {};
  known.set(value, made);
  for (const [key, held] of Object.entries(value)) made[key] = copy(held, known);
  return made;
}
