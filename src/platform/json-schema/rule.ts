/** What the keywords of a schema are to their evaluation. */
import type { Expression } from "../regular-expression/expression.ts";
import type { SchemaObject } from "./schema.ts";

/**
 * Why a value is refused: a sentence without its subject, or, further inside, the problem of a part. `instead`: the value that
 * was meant, where only its capitals differ. What takes work to say is a getter: most problems are told to nobody.
 */
export type Problem =
  | { readonly message: string; at?: undefined; inner?: undefined; readonly instead?: unknown }
  /** `depth`: how many parts further inside the problem lies. */
  | { message?: undefined; at: string | number; inner: Problem; depth: number };

/** What of a value its schema has judged: `unevaluatedProperties` and `unevaluatedItems` go by it. */
export interface Marks {
  properties: Set<string> | "all";
  items: Set<number> | "all";
}

export interface Outcome {
  problem: Problem | null;
  /** Null: nobody asks, or the value is refused. */
  marks: Marks | null;
}

/** A schema's evaluation with its one budget. */
export interface Evaluation {
  /** Counts work, before it is done. Throws `Unfinished` when the budget does not allow it. */
  spend(steps: number): void;
  /** The names of an object's properties, which are listed, and paid for, once. */
  keys(value: object): readonly string[];
  /** What a schema says of a value. The same question is answered once. */
  apply(schema: unknown, value: unknown): Outcome;
  /** What the `$ref` of a schema names. */
  target(schema: SchemaObject): unknown;
  /** Null: the pattern can't be checked, so nothing is said against a text. */
  expression(pattern: string): Expression | null;
}

/** The schema that is evaluated, and what it has judged so far; null: nobody asks. */
export interface Place {
  schema: SchemaObject;
  marks: Marks | null;
}

/** One keyword. `given` is its value, whose shape was checked before. */
export type Rule = (given: unknown, value: unknown, place: Place, run: Evaluation) => Problem | null;

/** The check can't be brought to an end: the rest of a sentence that begins with what was checked. */
export class Unfinished extends Error {}

/** The problem of a part, seen from the whole. */
export function within(at: string | number, { problem }: Outcome): Problem | null {
  return problem === null ? null : { at, inner: problem, depth: depthOf(problem) + 1 };
}

/** How far inside a value a problem lies. */
export function depthOf(problem: Problem): number {
  return problem.inner === undefined ? 0 : problem.depth;
}

/** Adds what a schema for the same value has judged. */
export function addMarks(run: Evaluation, place: Place, { marks, problem }: Outcome): void {
  if (place.marks === null || marks === null || problem !== null) return;
  place.marks.properties = joined(run, place.marks.properties, marks.properties);
  place.marks.items = joined(run, place.marks.items, marks.items);
}

function joined<T>(run: Evaluation, one: Set<T> | "all", other: Set<T> | "all"): Set<T> | "all" {
  if (one === "all" || other === "all") return "all";
  run.spend(other.size / 4);
  for (const item of other) one.add(item);
  return one;
}
