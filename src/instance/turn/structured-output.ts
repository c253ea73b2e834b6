/**
 * Structured answers: whether a caller's JSON Schema can be used, and whether an answer follows it. Both are bounded, whatever
 * the schema and the answer say.
 */
import { onlyAnnotates } from "../../anthropic/answer-format/merge.ts";
import type { Unchecked } from "../../contracts/instance.ts";
import { type Check, check } from "../../platform/json-schema/check.ts";
import { type CompiledSchema, compileSchema, type Remark } from "../../platform/json-schema/compile.ts";

/** For one answer: 5,000 records of ten fields take 300,000. Measured: a million take some 100 ms. */
const CHECK_STEPS = 500_000;
/** Levels of an answer: what nests deeper can be neither checked nor kept. */
const MAX_LEVELS = 200;
/** Texts whose capitals are put right in one answer, and the steps of each check after one. */
const MAX_CORRECTIONS = 20;
const CORRECTION_STEPS = CHECK_STEPS / 10;

export type StructuredCheck =
  /** `unchecked`: what of the schema could not be checked. */
  | { kind: "fits"; value: unknown; unchecked: readonly Unchecked[] }
  /** `problem`: the rest of a sentence about the answer. */
  | { kind: "differs"; problem: string }
  | { kind: "unchecked"; unchecked: readonly Unchecked[] };

/** What is wrong with a schema, so that no model call is paid for it; null: it can be used. */
export async function schemaProblem(schema: Record<string, unknown>): Promise<Remark | null> {
  if (onlyAnnotates(schema)) return { path: "#", message: "says nothing of the answer" };
  const verdict = await compileSchema(schema);
  return verdict.ok ? null : verdict.remark;
}

export async function checkStructured(schema: unknown, text: string): Promise<StructuredCheck> {
  const verdict = await compileSchema(schema);
  // It was taken by a version of this server that took more.
  if (!verdict.ok) return uncheckable(verdict.remark.path, verdict.remark.message);
  const parsed = parse(text);
  if (!parsed.ok) return { kind: "differs", problem: parsed.problem };
  const { result, value } = checkMeant(verdict.schema, parsed.value);
  if (result.kind === "unfinished") return uncheckable("#", `The answer was not checked: ${result.reason}.`);
  if (result.kind === "refused") return { kind: "differs", problem: result.message };
  const unchecked = verdict.schema.unchecked.map(({ path, message }) => ({ path, reason: message }));
  return { kind: "fits", value, unchecked };
}

/** The check of an answer was begun, and did not come to an end with its process. */
export const CHECK_LOST: StructuredCheck = uncheckable(
  "#",
  "The answer was not checked: the server stopped while it was checked.",
);

function uncheckable(path: string, reason: string): StructuredCheck {
  return { kind: "unchecked", unchecked: [{ path, reason }] };
}

/** The API does not guarantee the capitals of the schema's own values: where only they differ, the schema's are taken. */
function checkMeant(schema: CompiledSchema, value: unknown): { result: Check; value: unknown } {
  const first = check(schema, value, CHECK_STEPS);
  let result = first;
  let meant = value;
  for (let i = 0; i < MAX_CORRECTIONS && result.kind === "refused" && result.instead !== undefined; i++) {
    meant = replaced(meant, result.path, result.instead);
    result = check(schema, meant, CORRECTION_STEPS);
  }
  return result.kind === "fits" ? { result, value: meant } : { result: first, value };
}

/** `value` with another part at a path. The original stays as it is. */
function replaced(value: unknown, path: readonly (string | number)[], part: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return part;
  if (Array.isArray(value)) return value.map((item, i) => (i === step ? replaced(item, rest, part) : item));
  return Object.fromEntries(
    Object.entries(value as Record<string, unknown>).map(([name, item]) => [
      name,
      name === step ? replaced(item, rest, part) : item,
    ]),
  );
}

type Parsed = { ok: true; value: unknown } | { ok: false; problem: string };

/** The text as JSON; where no grammar held the model to it, a code fence around it is forgiven. */
function parse(text: string): Parsed {
  const whole = parseJson(text);
  if (whole.ok) return whole;
  const fences = text.split(/^\s*```[a-z]*\s*$/m);
  return fences.length === 3 ? parseJson(fences[1] ?? "") : whole;
}

function parseJson(text: string): Parsed {
  if (isDeep(text)) return { ok: false, problem: `it is nested deeper than ${MAX_LEVELS} levels` };
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    return { ok: false, problem: "it is no JSON" };
  }
}

/** Told from the brackets alone, before anything is built. */
function isDeep(text: string): boolean {
  let level = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "\\" && quoted) at += 1;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && (character === "[" || character === "{")) level += 1;
    else if (!quoted && (character === "]" || character === "}")) level -= 1;
    if (level > MAX_LEVELS) return true;
  }
  return false;
}
