/**
 * What a program finds in its sandbox beside the language: a console, timers, `process`, and the built-in modules of Node that
 * there are, in the parts that there are. What works here works the same under Node; what is not here is absent.
 *
 * These are sources for the engine in the sandbox. They reach their host through `__host` alone, which `START` takes away
 * from the program: `out(stream, text)`, and `call(operation, json)`, a promise of JSON.
 */

/** Runs first, as a script. */
export const START = String.raw`
(() => {
  const host = globalThis.__host;
  delete globalThis.__host;
  const { argv, env, cwd } = JSON.parse(host.facts);

  function quoted(text) {
    return "'" + JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"').replace(/'/g, "\\'") + "'";
  }
  function inspect(value, depth = 0, seen = new Set()) {
    switch (typeof value) {
      case "string": return quoted(value);
      case "bigint": return value + "n";
      case "symbol": return String(value);
      case "function": return value.name ? "[Function: " + value.name + "]" : "[Function (anonymous)]";
      case "object": break;
      default: return Object.is(value, -0) ? "-0" : String(value);
    }
    if (value === null) return "null";
    if (seen.has(value)) return "[Circular]";
    if (value instanceof Error) return errorText(value);
    if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    const name = value.constructor === undefined ? "[Object: null prototype]" : value.constructor.name;
    if (depth > 2) return Array.isArray(value) ? "[Array]" : "[" + (name || "Object") + "]";
    seen = new Set(seen).add(value);
    const inner = (item) => inspect(item, depth + 1, seen);
    const key = (name) => (typeof name === "symbol" ? "[" + String(name) + "]" : /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));
    const wrap = (open, items, close) => {
      if (items.length === 0) return open + close;
      const line = open + " " + items.join(", ") + " " + close;
      if (line.length <= 72 && !line.includes("\n")) return line;
      return open + "\n" + items.map((item) => "  " + item.replaceAll("\n", "\n  ")).join(",\n") + "\n" + close;
    };
    const some = (items, show) => {
      const shown = items.slice(0, 100).map(show);
      return items.length > 100 ? [...shown, "... " + (items.length - 100) + " more items"] : shown;
    };
    if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      const prefix = Array.isArray(value) ? "" : name + "(" + value.length + ") ";
      return wrap(prefix + "[", some([...value.slice(0, 101)], inner).concat(value.length > 101 ? ["..."] : []), "]");
    }
    if (value instanceof Map) return wrap("Map(" + value.size + ") {", some([...value], ([k, v]) => inner(k) + " => " + inner(v)), "}");
    if (value instanceof Set) return wrap("Set(" + value.size + ") {", some([...value], inner), "}");
    if (value instanceof Promise) return "Promise {}";
    const prefix = name === "Object" ? "" : name + " ";
    return wrap(prefix + "{", some(Reflect.ownKeys(value).filter((k) => Object.prototype.propertyIsEnumerable.call(value, k)), (k) => key(k) + ": " + inner(value[k])), "}");
  }
  function errorText(error) {
    const head = String(error);
    const stack = typeof error.stack === "string" && error.stack.trim() ? "\n" + error.stack.trimEnd() : "";
    const cause = error.cause === undefined ? "" : "\n  [cause]: " + inspect(error.cause, 1);
    return head + stack + cause;
  }
  function format(values) {
    const rest = [...values];
    let text = "";
    if (typeof rest[0] === "string" && rest.length > 1) {
      text = rest.shift().replace(/%([sdifjoO%])/g, (whole, kind) => {
        if (kind === "%") return "%";
        if (rest.length === 0) return whole;
        const value = rest.shift();
        if (kind === "s") return typeof value === "string" ? value : inspect(value, 2);
        if (kind === "d" || kind === "f") return String(Number(value));
        if (kind === "i") return String(Math.trunc(Number(value)));
        return kind === "j" ? JSON.stringify(value) : inspect(value);
      });
      if (rest.length > 0) text += " ";
    }
    return text + rest.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
  }

  let indent = "";
  const counts = new Map();
  const print = (stream) => (...values) => host.out(stream, indent + format(values).replaceAll("\n", "\n" + indent) + "\n");
  globalThis.console = {
    log: print(1), info: print(1), debug: print(1), dir: (value) => print(1)(inspect(value)), error: print(2), warn: print(2),
    trace: (...values) => print(2)("Trace: " + format(values)),
    assert: (ok, ...values) => { if (!ok) print(2)("Assertion failed" + (values.length ? ": " + format(values) : "")); },
    table: (value) => print(1)(inspect(value)),
    group: (...values) => { if (values.length) print(1)(...values); indent += "  "; },
    groupEnd: () => { indent = indent.slice(2); },
    count: (label = "default") => { counts.set(label, (counts.get(label) ?? 0) + 1); print(1)(label + ": " + counts.get(label)); },
    time: () => {}, timeEnd: (label = "default") => print(1)(label + ": done"), timeLog: () => {},
  };

  const call = async (operation, ...args) => {
    const answer = JSON.parse(await host.call(operation, JSON.stringify(args)));
    if (answer.error === undefined) return answer.value;
    throw Object.assign(new Error(answer.error), answer.code === null ? {} : { code: answer.code });
  };

  const timers = new Map();
  let lastTimer = 0;
  const schedule = (run, ms, again) => {
    const id = ++lastTimer;
    const wait = () => call("sleep", Math.max(1, Number(ms) || 0), id).then(() => {
      if (!timers.has(id)) return;
      if (again) wait(); else timers.delete(id);
      run();
    }).catch(fatal);
    timers.set(id, true);
    wait();
    return id;
  };
  globalThis.setTimeout = (run, ms, ...args) => schedule(() => run(...args), ms, false);
  globalThis.setInterval = (run, ms, ...args) => schedule(() => run(...args), ms, true);
  globalThis.clearTimeout = globalThis.clearInterval = (id) => { if (timers.delete(id)) host.forget(id); };
  globalThis.setImmediate = (run, ...args) => setTimeout(run, 0, ...args);
  globalThis.clearImmediate = globalThis.clearTimeout;
  globalThis.queueMicrotask ??= (run) => { Promise.resolve().then(run).catch(fatal); };
  globalThis.structuredClone ??= (value) => copy(value, new Map());
  function copy(value, known) {
    if (typeof value === "function" || typeof value === "symbol") throw new TypeError(String(value) + " could not be cloned.");
    if (typeof value !== "object" || value === null) return value;
    if (known.has(value)) return known.get(value);
    if (value instanceof Date) return new Date(value);
    if (value instanceof RegExp) return new RegExp(value);
    if (ArrayBuffer.isView(value)) return value.slice();
    const made = value instanceof Map ? new Map() : value instanceof Set ? new Set() : Array.isArray(value) ? [] : {};
    known.set(value, made);
    if (value instanceof Map) for (const [k, v] of value) made.set(copy(k, known), copy(v, known));
    else if (value instanceof Set) for (const v of value) made.add(copy(v, known));
    else for (const k of Object.keys(value)) made[k] = copy(value[k], known);
    return made;
  }

  const bytesOf = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  const textOf = (bytes) => {
    let text = "";
    for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    return text;
  };
  const utf8 = (text) => bytesOf(unescape(encodeURIComponent(String(text).toWellFormed())));
  globalThis.TextEncoder = class TextEncoder { get encoding() { return "utf-8"; } encode(text = "") { return utf8(text); } };

  const exiting = { code: undefined };
  const process = {
    argv: ["node", ...argv], env: { ...env }, platform: "linux", exitCode: undefined, versions: {},
    cwd: () => cwd,
    exit: (code) => { host.exit(Number(code ?? process.exitCode ?? 0)); throw exiting; },
    nextTick: (run, ...args) => queueMicrotask(() => run(...args)),
    hrtime: { bigint: () => BigInt(Date.now()) * 1000000n },
    stdout: { write: (text) => { host.out(1, String(text)); return true; }, isTTY: false },
    stderr: { write: (text) => { host.out(2, String(text)); return true; }, isTTY: false },
    on: () => process, once: () => process,
  };
  globalThis.process = process;
  globalThis.global = globalThis;
  globalThis.performance ??= { now: () => Date.now() };
  globalThis.require = () => {
    throw new ReferenceError("require is not there: programs are ES modules. Write: import { name } from './file.js'");
  };

  function fatal(error) {
    if (error === exiting) return;
    host.out(2, "Uncaught " + inspect(error) + "\n");
    host.exit(1);
  }
  // For the modules below, and for the host at the end.
  globalThis[Symbol.for("madrox")] = Object.freeze({ inspect, format, call, bytesOf, textOf, utf8, fatal, out: host.out, finish: [] });
})();
`;

const INTERNAL = `const { inspect, format, call, bytesOf, textOf, utf8, fatal, out, finish } = globalThis[Symbol.for("madrox")];`;

const PATH = String.raw`
function normalize(path) {
  const absolute = path.startsWith("/");
  const out = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (part !== ".." || !absolute) out.push(part);
  }
  return (absolute ? "/" : "") + out.join("/") || (absolute ? "/" : ".");
}
const join = (...parts) => normalize(parts.filter(Boolean).join("/") || ".");
const isAbsolute = (path) => path.startsWith("/");
const resolve = (...parts) => {
  let path = "";
  for (const part of [process.cwd(), ...parts]) path = part.startsWith("/") ? part : path + "/" + part;
  return normalize(path);
};
const dirname = (path) => { const at = path.replace(/\/+$/, "").lastIndexOf("/"); return at < 0 ? "." : path.slice(0, at) || "/"; };
const basename = (path, suffix = "") => { const name = path.replace(/\/+$/, "").split("/").pop(); return suffix && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name; };
const extname = (path) => { const name = basename(path); const at = name.lastIndexOf("."); return at > 0 ? name.slice(at) : ""; };
const relative = (from, to) => {
  const a = resolve(from).split("/").filter(Boolean), b = resolve(to).split("/").filter(Boolean);
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  return [...a.slice(same).map(() => ".."), ...b.slice(same)].join("/");
};
const sep = "/";
const path = { normalize, join, isAbsolute, resolve, dirname, basename, extname, relative, sep };
path.posix = path;
const posix = path;
export { normalize, join, isAbsolute, resolve, dirname, basename, extname, relative, sep, posix };
export default path;
`;

const FILES = `${INTERNAL}
const encodingOf = (options) => (typeof options === "string" ? options : options?.encoding) ?? null;
const text = (encoding) => {
  if (encoding === "utf8" || encoding === "utf-8") return true;
  if (encoding === null) return false;
  throw new TypeError("The encoding " + encoding + " is not there: utf8, or none for bytes");
};
const content = (data) => {
  if (typeof data === "string") return textOf(utf8(data));
  if (ArrayBuffer.isView(data)) return textOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  throw new TypeError("The data must be a string or bytes");
};
const statsOf = (found) => ({ size: found.size, mtime: new Date(found.modified), mtimeMs: found.modified, isFile: () => !found.folder, isDirectory: () => found.folder, isSymbolicLink: () => false });
export const readFile = async (path, options) => {
  const asText = text(encodingOf(options));
  const read = await call("read", String(path), asText);
  return asText ? read : bytesOf(read);
};
export const writeFile = async (path, data) => { await call("write", String(path), content(data)); };
export const appendFile = async (path, data) => { await call("append", String(path), content(data)); };
export const readdir = async (path, options) => {
  const entries = await call("list", String(path));
  if (!options?.withFileTypes) return entries.map((entry) => entry.name);
  return entries.map(({ name, folder }) => ({ name, isFile: () => !folder, isDirectory: () => folder, isSymbolicLink: () => false }));
};
export const stat = async (path) => statsOf(await call("stat", String(path)));
export const lstat = stat;
export const access = async (path) => { await call("stat", String(path)); };
export const mkdir = async (path, options) => { await call("makeFolder", String(path), options?.recursive ?? false); };
export const rm = async (path, options) => { await call("remove", String(path), { recursive: options?.recursive ?? false, force: options?.force ?? false }); };
export const unlink = (path) => rm(path);
export const rename = async (from, to) => { await call("move", String(from), String(to)); };
export const copyFile = async (from, to) => { await writeFile(to, await readFile(from)); };
export default { readFile, writeFile, appendFile, readdir, stat, lstat, access, mkdir, rm, unlink, rename, copyFile };
`;

const ASSERT = String.raw`${INTERNAL}
export class AssertionError extends Error {
  constructor({ message, actual, expected, operator }) {
    super(message);
    this.name = "AssertionError";
    this.code = "ERR_ASSERTION";
    Object.assign(this, { actual, expected, operator });
  }
}
const raise = (message, standard, actual, expected, operator) => {
  if (message instanceof Error) throw message;
  throw new AssertionError({ message: message ?? standard, actual, expected, operator });
};
const both = (actual, expected) => "\n\n  actual: " + inspect(actual).replaceAll("\n", "\n  ") + "\n  expected: " + inspect(expected).replaceAll("\n", "\n  ");
function same(a, b, strict, seen = new Map()) {
  if (strict ? Object.is(a, b) : a == b || (a !== a && b !== b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp && b instanceof RegExp) return String(a) === String(b);
  if (a instanceof Error && b instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (a instanceof Map && b instanceof Map) return a.size === b.size && [...a].every(([k, v]) => b.has(k) && same(v, b.get(k), strict, seen));
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((v) => b.has(v) || [...b].some((w) => same(v, w, strict, seen)));
  const keys = Object.keys(a), others = Object.keys(b);
  return keys.length === others.length && a.length === b.length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key], strict, seen));
}
export const ok = (value, message) => { if (!value) raise(message, "The expression evaluated to a falsy value: " + inspect(value), value, true, "=="); };
export const fail = (message = "Failed") => raise(message, message);
export const strictEqual = (a, b, message) => { if (!Object.is(a, b)) raise(message, "Expected values to be strictly equal:" + both(a, b), a, b, "strictEqual"); };
export const notStrictEqual = (a, b, message) => { if (Object.is(a, b)) raise(message, "Expected values not to be strictly equal: " + inspect(a), a, b, "notStrictEqual"); };
export const deepStrictEqual = (a, b, message) => { if (!same(a, b, true)) raise(message, "Expected values to be strictly deep-equal:" + both(a, b), a, b, "deepStrictEqual"); };
export const notDeepStrictEqual = (a, b, message) => { if (same(a, b, true)) raise(message, "Expected values not to be strictly deep-equal: " + inspect(a), a, b, "notDeepStrictEqual"); };
const looseEqual = (a, b, message) => { if (!(a == b || (a !== a && b !== b))) raise(message, "Expected values to be loosely equal:" + both(a, b), a, b, "=="); };
const notLooseEqual = (a, b, message) => { if (a == b) raise(message, "Expected values not to be loosely equal: " + inspect(a), a, b, "!="); };
const looseDeepEqual = (a, b, message) => { if (!same(a, b, false)) raise(message, "Expected values to be loosely deep-equal:" + both(a, b), a, b, "deepEqual"); };
const notLooseDeepEqual = (a, b, message) => { if (same(a, b, false)) raise(message, "Expected values not to be loosely deep-equal: " + inspect(a), a, b, "notDeepEqual"); };
export const match = (text, pattern, message) => { if (typeof text !== "string" || !pattern.test(text)) raise(message, "The input did not match " + pattern + ": " + inspect(text), text, pattern, "match"); };
export const doesNotMatch = (text, pattern, message) => { if (pattern.test(text)) raise(message, "The input was expected not to match " + pattern + ": " + inspect(text), text, pattern, "doesNotMatch"); };
function fits(error, expected, message) {
  if (expected === undefined || typeof expected === "string") return;
  if (expected instanceof RegExp) { if (!expected.test(String(error))) raise(message, "The error did not match " + expected + ": " + inspect(error), error, expected, "throws"); return; }
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof expected) return;
    if (expected === Error || Error.isPrototypeOf(expected)) throw error;
    if (expected(error) !== true) raise(message, "The validation function did not return true for " + inspect(error), error, expected, "throws");
    return;
  }
  for (const key of Object.keys(expected)) {
    const wanted = expected[key];
    const fit = wanted instanceof RegExp && typeof error[key] === "string" ? wanted.test(error[key]) : same(error[key], wanted, true);
    if (!fit) raise(message, "The error's " + key + " is not as expected:" + both(error[key], wanted), error, expected, "throws");
  }
}
export const throws = (run, expected, message) => {
  let error;
  try { run(); } catch (thrown) { error = { thrown }; }
  if (error === undefined) raise(typeof expected === "string" ? expected : message, "Missing expected exception.", undefined, expected, "throws");
  fits(error.thrown, expected, message);
};
export const doesNotThrow = (run, message) => { try { run(); } catch (error) { raise(typeof message === "string" ? message : undefined, "Got unwanted exception: " + inspect(error), error, undefined, "doesNotThrow"); } };
export const rejects = async (work, expected, message) => {
  let error;
  try { await (typeof work === "function" ? work() : work); } catch (thrown) { error = { thrown }; }
  if (error === undefined) raise(typeof expected === "string" ? expected : message, "Missing expected rejection.", undefined, expected, "rejects");
  fits(error.thrown, expected, message);
};
export const doesNotReject = async (work, message) => { try { await (typeof work === "function" ? work() : work); } catch (error) { raise(typeof message === "string" ? message : undefined, "Got unwanted rejection: " + inspect(error), error, undefined, "doesNotReject"); } };
const shared = { AssertionError, ok, fail, strictEqual, notStrictEqual, deepStrictEqual, notDeepStrictEqual, match, doesNotMatch, throws, doesNotThrow, rejects, doesNotReject };
export const strict = Object.assign((value, message) => ok(value, message), shared, { equal: strictEqual, notEqual: notStrictEqual, deepEqual: deepStrictEqual, notDeepEqual: notDeepStrictEqual });
strict.strict = strict;
const loose = Object.assign((value, message) => ok(value, message), shared, { equal: looseEqual, notEqual: notLooseEqual, deepEqual: looseDeepEqual, notDeepEqual: notLooseDeepEqual, strict });
`;

const ASSERT_LOOSE = `${ASSERT}
export { looseEqual as equal, notLooseEqual as notEqual, looseDeepEqual as deepEqual, notLooseDeepEqual as notDeepEqual };
export default loose;
`;

const ASSERT_STRICT = `export { AssertionError, ok, fail, strictEqual, notStrictEqual, deepStrictEqual, notDeepStrictEqual, match, doesNotMatch, throws, doesNotThrow, rejects, doesNotReject, strict, strictEqual as equal, notStrictEqual as notEqual, deepStrictEqual as deepEqual, notDeepStrictEqual as notDeepEqual } from "node:assert";
export { strict as default } from "node:assert";
`;

const TEST = String.raw`${INTERNAL}
const suite = (name, parent) => ({ name, parent, level: parent ? parent.level + 1 : -1, entries: [], before: [], after: [], beforeEach: [], afterEach: [] });
const root = suite("", null);
let current = root;
const totals = { tests: 0, pass: 0, fail: 0, skipped: 0 };
const line = (level, text) => out(1, ("  ".repeat(level) + text).replaceAll("\n", "\n" + "  ".repeat(level)) + "\n");
const argumentsOf = (args) => ({
  name: args.find((arg) => typeof arg === "string") ?? args.find((arg) => typeof arg === "function")?.name ?? "<anonymous>",
  options: args.find((arg) => typeof arg === "object" && arg !== null) ?? {},
  run: args.find((arg) => typeof arg === "function"),
});
const add = (given) => (...args) => {
  const { name, options, run } = argumentsOf(args);
  current.entries.push({ name, run, skip: run === undefined || Boolean(options.skip ?? given.skip), todo: Boolean(options.todo ?? given.todo) });
};
const group = (skip) => (...args) => {
  const { name, options, run } = argumentsOf(args);
  const made = suite(name, current);
  made.skip = skip || Boolean(options.skip);
  current.entries.push(made);
  const outer = current;
  current = made;
  try { run?.(); } finally { current = outer; }
};
const hooks = (entry, kind) => (entry ? [...hooks(entry.parent, kind), ...entry[kind]] : []);
async function runTest(entry, owner, level) {
  totals.tests++;
  if (entry.skip) { totals.skipped++; return line(level, "ok " + totals.tests + " - " + entry.name + " # SKIP"); }
  const inner = [];
  const context = { name: entry.name, diagnostic: (text) => line(level, "# " + text), skip: () => { entry.skip = true; }, test: async (...args) => {
    const { name, run } = argumentsOf(args);
    if (!(await runTest({ name, run, skip: run === undefined }, owner, level + 1))) inner.push(name);
  } };
  let failure = null;
  try {
    for (const hook of hooks(owner, "beforeEach")) await hook(context);
    await entry.run(context);
    if (inner.length > 0) throw new Error(inner.length + " subtests failed");
  } catch (error) { failure = { error }; }
  try { for (const hook of hooks(owner, "afterEach")) await hook(context); } catch (error) { failure ??= { error }; }
  if (failure === null || entry.todo) {
    totals.pass++;
    line(level, "ok " + totals.tests + " - " + entry.name + (entry.skip ? " # SKIP" : entry.todo ? " # TODO" : ""));
    return true;
  }
  totals.fail++;
  line(level, "not ok " + totals.tests + " - " + entry.name);
  line(level + 1, inspect(failure.error));
  return false;
}
async function runSuite(entry) {
  if (entry.level >= 0) line(entry.level, "# " + entry.name);
  try {
    if (!entry.skip) for (const hook of entry.before) await hook();
    for (const inner of entry.entries) {
      if (inner.entries) await runSuite(Object.assign(inner, { skip: inner.skip || entry.skip }));
      else await runTest(entry.skip ? { ...inner, skip: true } : inner, entry, entry.level + 1);
    }
    if (!entry.skip) for (const hook of entry.after) await hook();
  } catch (error) {
    totals.fail++;
    line(entry.level + 1, "not ok - a hook of " + (entry.name || "the file"));
    line(entry.level + 2, inspect(error));
  }
}
finish.push(async () => {
  if (root.entries.length === 0) return;
  await runSuite(root);
  for (const kind of ["tests", "pass", "fail", "skipped"]) line(0, "# " + kind + " " + totals[kind]);
  if (totals.fail > 0) process.exitCode = 1;
});
const kinds = (make, plain) => Object.assign(plain, { skip: make({ skip: true }), todo: make({ todo: true }) });
export const test = kinds(add, add({}));
export const it = test;
export const describe = Object.assign(group(false), { skip: group(true) });
export { describe as suite };
export const before = (hook) => { current.before.push(hook); };
export const after = (hook) => { current.after.push(hook); };
export const beforeEach = (hook) => { current.beforeEach.push(hook); };
export const afterEach = (hook) => { current.afterEach.push(hook); };
export default Object.assign(test, { test, it, describe, before, after, beforeEach, afterEach });
`;

const MODULES: Readonly<Record<string, string>> = {
  "node:assert": ASSERT_LOOSE,
  "node:assert/strict": ASSERT_STRICT,
  "node:test": TEST,
  "node:path": PATH,
  "node:fs/promises": FILES,
  "node:process": "export default process; export const { argv, env, cwd, exit, stdout, stderr } = process;",
  "node:util": `${INTERNAL}\nconst formatted = (...values) => format(values);\nconst shown = (value) => inspect(value);\nexport { formatted as format, shown as inspect };\nexport default { format: formatted, inspect: shown };`,
  "node:fs": `import promises from "node:fs/promises"; export { promises }; export default { promises };`,
};

/** Whether a specifier names a built-in module that there is. Those of `node:test` need their prefix, as in Node. */
export function isBuiltin(specifier: string): boolean {
  return Object.hasOwn(MODULES, specifier) || (specifier !== "test" && Object.hasOwn(MODULES, `node:${specifier}`));
}

/** The source of a built-in module, by its name with `node:` in front. */
export function builtin(name: string): string | undefined {
  return Object.hasOwn(MODULES, name) ? MODULES[name] : undefined;
}
