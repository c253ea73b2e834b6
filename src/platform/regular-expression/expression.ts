/**
 * Regular expressions from outside: of callers, models and remote servers. They run on RE2's algorithm, whose time is linear
 * in the text, never on the runtime's own engine, which a hostile pattern keeps busy for ever. This is the one module that
 * makes an expression of text that is not its own; the linter sees to it (`lint/regular-expressions.grit`).
 */
import { Inexpressible, toRe2 } from "./ecma-pattern.ts";
import { programSize } from "./program-size.ts";

/** Characters of a pattern. */
export const MAX_PATTERN_CHARACTERS = 1_000;
/** Instructions of a program: `a{1,30}` nested twice has 1,900. */
export const MAX_INSTRUCTIONS = 2_000;
/** Measured: one takes 1.5 ms to compile where case is ignored. */
const MAX_UNICODE_CLASSES = 20;

export interface Expression {
  /** Instructions of its program. A test takes at most this times the text's length: 120 million of these took 1.4 s. */
  readonly size: number;
  /** Whether some part of the text matches. */
  test(text: string): boolean;
}

/** `malformed`: no expression at all. `unsupported`: one that RE2 can't express, or that is too large. */
export type Compiled =
  | { ok: true; expression: Expression }
  | { ok: false; kind: "malformed" | "unsupported"; reason: string };

/** Whether a text is an expression in ECMAScript's syntax, with the flag `u`. Nothing is run. */
export function isEcmaPattern(pattern: string): boolean {
  return isReadable(pattern, "u");
}

function isReadable(pattern: string, flags: "u" | ""): boolean {
  try {
    // biome-ignore lint/plugin: it is only read, never run.
    new RegExp(pattern, flags);
    return true;
  } catch {
    return false;
  }
}

/** An expression in ECMAScript's syntax, as JSON Schema has it. The reason reads on after "the pattern ...: ". */
export async function compileEcma(pattern: string): Promise<Compiled> {
  const long = tooLong(pattern);
  if (long) return long;
  // Without the flag, more escapes are allowed.
  if (!isReadable(pattern, "u") && !isReadable(pattern, ""))
    return { ok: false, kind: "malformed", reason: "it is no regular expression" };
  try {
    // The size is that of what is compiled: the two syntaxes disagree on where a bracket expression ends.
    const translated = toRe2(pattern);
    return tooLarge(translated) ?? (await compiled(translated, 0));
  } catch (error) {
    if (error instanceof Inexpressible) return { ok: false, kind: "unsupported", reason: error.message };
    throw error;
  }
}

/** An expression in RE2's own syntax. */
export async function compileRe2(pattern: string, options: { ignoreCase: boolean }): Promise<Compiled> {
  const answer = tooLong(pattern) ?? tooLarge(pattern) ?? (await compiled(pattern, options.ignoreCase ? 1 : 0));
  return answer.ok ? answer : { ...answer, kind: "malformed" };
}

type Refused = Extract<Compiled, { ok: false }>;

const refused = (reason: string): Refused => ({ ok: false, kind: "unsupported", reason });

function tooLong(pattern: string): Refused | null {
  return pattern.length > MAX_PATTERN_CHARACTERS
    ? refused(`it is longer than ${MAX_PATTERN_CHARACTERS} characters`)
    : null;
}

/** `pattern`: in RE2's syntax. */
function tooLarge(pattern: string): Refused | null {
  const { instructions, unicodeClasses } = programSize(pattern);
  if (instructions > MAX_INSTRUCTIONS) {
    return refused(`it is too large (${instructions} of at most ${MAX_INSTRUCTIONS} steps)`);
  }
  return unicodeClasses > MAX_UNICODE_CLASSES
    ? refused(`it has more than ${MAX_UNICODE_CLASSES} classes of Unicode characters`)
    : null;
}

async function compiled(pattern: string, flags: 0 | 1): Promise<Compiled> {
  // Only for those who use it: 150 KB of code to evaluate.
  const { RE2JS } = await import("re2js");
  try {
    const expression = RE2JS.compile(pattern, flags === 1 ? RE2JS.CASE_INSENSITIVE : 0);
    return { ok: true, expression: { size: expression.programSize(), test: (text) => expression.test(text) } };
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^error parsing regexp: /, "").slice(0, 200) : "";
    return { ok: false, kind: "unsupported", reason: why.toWellFormed() };
  }
}
