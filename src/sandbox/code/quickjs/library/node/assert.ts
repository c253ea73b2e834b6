/** `node:assert`. */

import { looselyEqual, same } from "../equality.ts";
import { inspect } from "../inspect.ts";

type Message = string | Error | undefined;
type Class = abstract new (...args: never[]) => unknown;
type Work = Promise<unknown> | (() => Promise<unknown>);
/** What an error is expected to be: a pattern for its text, its class, a test of one's own, or some of its properties. */
type Expected = RegExp | Class | ((error: unknown) => boolean) | Record<string, unknown> | string | undefined;

interface Failure {
  message: string;
  actual?: unknown;
  expected?: unknown;
  operator: string;
}

export class AssertionError extends Error {
  readonly code = "ERR_ASSERTION";
  readonly actual: unknown;
  readonly expected: unknown;
  readonly operator: string;

  constructor({ message, actual, expected, operator }: Failure) {
    super(message);
    this.name = "AssertionError";
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
  }
}

function raise(message: Message, failure: Failure): never {
  if (message instanceof Error) throw message;
  throw new AssertionError({ ...failure, message: message ?? failure.message });
}

function both(actual: unknown, expected: unknown): string {
  const shown = (value: unknown) => inspect(value).replaceAll("\n", "\n  ");
  return `\n\n  actual: ${shown(actual)}\n  expected: ${shown(expected)}`;
}

/** An assertion that two values compare so. */
const comparison =
  (operator: string, said: string, holds: (actual: unknown, expected: unknown) => boolean) =>
  (actual: unknown, expected: unknown, message?: Message): void => {
    if (holds(actual, expected)) return;
    raise(message, { message: `Expected values to be ${said}:${both(actual, expected)}`, actual, expected, operator });
  };

/** The opposite: that they do not. */
const difference =
  (operator: string, said: string, holds: (actual: unknown, expected: unknown) => boolean) =>
  (actual: unknown, expected: unknown, message?: Message): void => {
    if (!holds(actual, expected)) return;
    raise(message, { message: `Expected values not to be ${said}: ${inspect(actual)}`, actual, expected, operator });
  };

const sameStrictly = (a: unknown, b: unknown) => same(a, b, true);
const sameLoosely = (a: unknown, b: unknown) => same(a, b, false);

export const strictEqual = comparison("strictEqual", "strictly equal", Object.is);
export const notStrictEqual = difference("notStrictEqual", "strictly equal", Object.is);
export const deepStrictEqual = comparison("deepStrictEqual", "strictly deep-equal", sameStrictly);
export const notDeepStrictEqual = difference("notDeepStrictEqual", "strictly deep-equal", sameStrictly);
export const equal = comparison("==", "loosely equal", looselyEqual);
export const notEqual = difference("!=", "loosely equal", looselyEqual);
export const deepEqual = comparison("deepEqual", "loosely deep-equal", sameLoosely);
export const notDeepEqual = difference("notDeepEqual", "loosely deep-equal", sameLoosely);

export function ok(value: unknown, message?: Message): void {
  if (value) return;
  const said = `The expression evaluated to a falsy value: ${inspect(value)}`;
  raise(message, { message: said, actual: value, expected: true, operator: "==" });
}

export function fail(message: string | Error = "Failed"): never {
  return raise(message, { message: "Failed", operator: "fail" });
}

export function match(text: unknown, pattern: RegExp, message?: Message): void {
  if (typeof text === "string" && pattern.test(text)) return;
  const said = `The input did not match ${pattern}: ${inspect(text)}`;
  raise(message, { message: said, actual: text, expected: pattern, operator: "match" });
}

export function doesNotMatch(text: unknown, pattern: RegExp, message?: Message): void {
  if (typeof text !== "string" || !pattern.test(text)) return;
  const said = `The input was expected not to match ${pattern}: ${inspect(text)}`;
  raise(message, { message: said, actual: text, expected: pattern, operator: "doesNotMatch" });
}

/** Throws unless the error is as expected. */
function assertFits(error: unknown, expected: Expected, message: Message): void {
  const unfit = (said: string) => raise(message, { message: said, actual: error, expected, operator: "throws" });
  if (expected === undefined || typeof expected === "string") return;
  if (expected instanceof RegExp) {
    if (!expected.test(String(error))) unfit(`The error did not match ${expected}: ${inspect(error)}`);
    return;
  }
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof (expected as Class)) return;
    if (expected === Error || Object.prototype.isPrototypeOf.call(Error, expected)) throw error;
    if ((expected as (error: unknown) => boolean)(error) !== true) {
      unfit(`The validation function did not return true for ${inspect(error)}`);
    }
    return;
  }
  for (const [key, wanted] of Object.entries(expected)) {
    const actual = (error as Record<string, unknown>)[key];
    const fits =
      wanted instanceof RegExp && typeof actual === "string" ? wanted.test(actual) : same(actual, wanted, true);
    if (!fits) unfit(`The error's ${key} is not as expected:${both(actual, wanted)}`);
  }
}

interface Thrown {
  error: unknown;
}

function thrownBy(run: () => unknown): Thrown | null {
  try {
    run();
    return null;
  } catch (error) {
    return { error };
  }
}

async function rejectionOf(work: Work): Promise<Thrown | null> {
  try {
    await (typeof work === "function" ? work() : work);
    return null;
  } catch (error) {
    return { error };
  }
}

function assertThrown(thrown: Thrown | null, what: string, expected: Expected, message: Message): void {
  if (thrown) {
    assertFits(thrown.error, expected, message);
    return;
  }
  const said = typeof expected === "string" ? expected : message;
  raise(said, {
    message: `Missing expected ${what}.`,
    expected,
    operator: what === "rejection" ? "rejects" : "throws",
  });
}

function assertNotThrown(thrown: Thrown | null, what: string, message: unknown): void {
  if (!thrown) return;
  const operator = what === "rejection" ? "doesNotReject" : "doesNotThrow";
  const said = `Got unwanted ${what}: ${inspect(thrown.error)}`;
  raise(typeof message === "string" ? message : undefined, { message: said, actual: thrown.error, operator });
}

export function throws(run: () => unknown, expected?: Expected, message?: Message): void {
  assertThrown(thrownBy(run), "exception", expected, message);
}

export function doesNotThrow(run: () => unknown, message?: unknown): void {
  assertNotThrown(thrownBy(run), "exception", message);
}

export async function rejects(work: Work, expected?: Expected, message?: Message): Promise<void> {
  assertThrown(await rejectionOf(work), "rejection", expected, message);
}

export async function doesNotReject(work: Work, message?: unknown): Promise<void> {
  assertNotThrown(await rejectionOf(work), "rejection", message);
}

const shared = {
  AssertionError,
  ok,
  fail,
  strictEqual,
  notStrictEqual,
  deepStrictEqual,
  notDeepStrictEqual,
  match,
  doesNotMatch,
  throws,
  doesNotThrow,
  rejects,
  doesNotReject,
};

/** `node:assert/strict`: what compares loosely below compares strictly here. */
export const strict = Object.assign((value: unknown, message?: Message) => ok(value, message), shared, {
  equal: strictEqual,
  notEqual: notStrictEqual,
  deepEqual: deepStrictEqual,
  notDeepEqual: notDeepStrictEqual,
});
Object.assign(strict, { strict });

export default Object.assign((value: unknown, message?: Message) => ok(value, message), shared, {
  equal,
  notEqual,
  deepEqual,
  notDeepEqual,
  strict,
});
