/**
 * Well-formed strings. Half a surrogate pair is a legal string in JavaScript and a legal escape in JSON, but no Unicode: the Messages
 * API refuses a request that holds one, and would do so for ever if it came from a stored row.
 */

/**
 * The value with U+FFFD in the place of each lone surrogate, in strings and in names of properties. The value itself, unchanged, if
 * there is none. Pure, and deterministic: the same rows give the same bytes.
 */
export function wellFormed<T>(value: T): T {
  return repaired(value) as T;
}

function repaired(value: unknown): unknown {
  if (typeof value === "string") return value.isWellFormed() ? value : value.toWellFormed();
  if (Array.isArray(value)) {
    const items = value.map(repaired);
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  if (typeof value !== "object" || value === null) return value;
  let changed = false;
  const entries = Object.entries(value).map(([name, part]): [string, unknown] => {
    const entry: [string, unknown] = [name.toWellFormed(), repaired(part)];
    changed ||= entry[0] !== name || entry[1] !== part;
    return entry;
  });
  return changed ? Object.fromEntries(entries) : value;
}
