/** Values as text, in the way of Node's `util.inspect` and `util.format`. */

const MAX_DEPTH = 2;
const MAX_ITEMS = 100;
const MAX_LINE = 72;

/** A value as a person reads it in the console. */
export function inspect(value: unknown, depth = 0, seen: ReadonlySet<unknown> = new Set()): string {
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return String(value);
    case "function":
      return value.name ? `[Function: ${value.name}]` : "[Function (anonymous)]";
    case "object":
      return value === null ? "null" : inspectObject(value, depth, seen);
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

function inspectObject(value: object, depth: number, seen: ReadonlySet<unknown>): string {
  if (seen.has(value)) return "[Circular]";
  if (value instanceof Error) return errorText(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  const name = value.constructor === undefined ? "[Object: null prototype]" : value.constructor.name;
  if (depth > MAX_DEPTH) return Array.isArray(value) ? "[Array]" : `[${name || "Object"}]`;
  const within = new Set(seen).add(value);
  const inner = (item: unknown) => inspect(item, depth + 1, within);
  if (Array.isArray(value) || isTypedArray(value)) {
    const prefix = Array.isArray(value) ? "" : `${name}(${value.length}) `;
    const items = some([...value.slice(0, MAX_ITEMS)], value.length, inner);
    return wrapped(`${prefix}[`, items, "]");
  }
  if (value instanceof Map) {
    const items = some([...value], value.size, ([key, held]) => `${inner(key)} => ${inner(held)}`);
    return wrapped(`Map(${value.size}) {`, items, "}");
  }
  if (value instanceof Set) return wrapped(`Set(${value.size}) {`, some([...value], value.size, inner), "}");
  if (value instanceof Promise) return "Promise {}";
  const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  const items = some(
    keys,
    keys.length,
    (key) => `${keyText(key)}: ${inner((value as Record<PropertyKey, unknown>)[key])}`,
  );
  return wrapped(`${name === "Object" ? "" : `${name} `}{`, items, "}");
}

export function isTypedArray(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** In the quotes that need no escaping, if there are such. */
function quoted(text: string): string {
  const quote = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !/[`$]/.test(text) ? "`" : "'";
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  const short = inner.replace(/\\u00([01][0-9a-f])/g, (_all, hex: string) => `\\x${hex.toUpperCase()}`);
  return quote + (quote === "'" ? short.replaceAll("'", "\\'") : short) + quote;
}

function keyText(key: string | symbol): string {
  if (typeof key === "symbol") return String(key);
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : quoted(key);
}

/** The first items, and how many there are beside them. */
function some<T>(items: readonly T[], count: number, show: (item: T) => string): string[] {
  const shown = items.slice(0, MAX_ITEMS).map(show);
  return count > MAX_ITEMS ? [...shown, `... ${count - MAX_ITEMS} more items`] : shown;
}

function wrapped(open: string, items: readonly string[], close: string): string {
  if (items.length === 0) return open + close;
  const line = `${open} ${items.join(", ")} ${close}`;
  if (line.length <= MAX_LINE && !line.includes("\n")) return line;
  return `${open}\n${items.map((item) => `  ${item.replaceAll("\n", "\n  ")}`).join(",\n")}\n${close}`;
}

function errorText(error: Error): string {
  const stack = typeof error.stack === "string" && error.stack.trim() ? `\n${error.stack.trimEnd()}` : "";
  const cause = error.cause === undefined ? "" : `\n  [cause]: ${inspect(error.cause, 1)}`;
  return String(error) + stack + cause;
}

/** Values as `console.log` joins them, with the placeholders of a first text filled in. */
export function format(values: readonly unknown[]): string {
  const [first, ...rest] = values;
  if (typeof first !== "string" || rest.length === 0) return values.map(plain).join(" ");
  const text = first.replace(/%([sdifjoO%])/g, (whole, kind: string) => {
    if (kind === "%") return "%";
    return rest.length === 0 ? whole : placed(kind, rest.shift());
  });
  return [text, ...rest.map(plain)].join(" ");
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : inspect(value);
}

function placed(kind: string, value: unknown): string {
  switch (kind) {
    case "s":
      return typeof value === "string" ? value : inspect(value, MAX_DEPTH);
    case "d":
    case "f":
      return String(Number(value));
    case "i":
      return String(Math.trunc(Number(value)));
    case "j":
      return String(JSON.stringify(value));
    default:
      return inspect(value);
  }
}
