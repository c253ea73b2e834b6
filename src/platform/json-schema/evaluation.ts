/** One evaluation of a schema: the rules of its keywords under one budget, each question answered once. */
import type { Expression } from "../regular-expression/expression.ts";
import { ARRAYS } from "./keywords/arrays.ts";
import { COMBINATORS } from "./keywords/combinators.ts";
import { OBJECTS } from "./keywords/objects.ts";
import { VALUES } from "./keywords/values.ts";
import type { References } from "./references.ts";
import { type Evaluation, type Marks, type Outcome, type Place, type Rule, Unfinished } from "./rule.ts";
import { type Dialect, isObject, type SchemaObject } from "./schema.ts";

const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries({ ...VALUES, ...OBJECTS, ...ARRAYS, ...COMBINATORS }).sort(
    ([one], [other]) => weight(one) - weight(other),
  ),
);

/** Schemas within schemas, and values within values, that are looked at inside one another: more than this has no stack. */
const MAX_DEPTH = 400;

const FITS: Outcome = { problem: null, marks: null };
const REFUSED: Outcome = { problem: { message: "is not allowed here" }, marks: null };
/** Stands in the place of an answer while it is looked for. */
const OPEN: Outcome = { problem: null, marks: null };

/** What an evaluation is made from. */
export interface Material {
  dialect: Dialect;
  references: References;
  /** By pattern; null: it can't be checked. */
  expressions: ReadonlyMap<string, Expression | null>;
  /** Whether some schema asks what others have judged. */
  marks: boolean;
}

export class BudgetedEvaluation implements Evaluation {
  readonly #material: Material;
  readonly #rules = new Map<SchemaObject, (readonly [Rule, unknown])[]>();
  /**
   * The answers by schema and value. Objects and arrays of a parsed JSON text are values of their own, and equal texts or
   * numbers get the same answer wherever they stand.
   */
  readonly #answers = new Map<SchemaObject, Map<unknown, Outcome>>();
  readonly #keys = new Map<object, readonly string[]>();
  #left: number;
  #depth = 0;

  constructor(material: Material, steps: number) {
    this.#material = material;
    this.#left = steps;
  }

  spend = (steps: number): void => {
    this.#left -= steps;
    if (this.#left < 0) throw new Unfinished("it takes more steps than one check may");
  };

  keys(value: object): readonly string[] {
    let names = this.#keys.get(value);
    if (!names) {
      names = Object.keys(value);
      this.#keys.set(value, names);
      this.spend(names.length);
    }
    return names;
  }

  apply(schema: unknown, value: unknown): Outcome {
    // The answers to long texts are found by comparing them.
    this.spend(typeof value === "string" ? 1 + value.length / 1_024 : 1);
    if (schema === true) return this.#material.marks ? { problem: null, marks: newMarks() } : FITS;
    if (!isObject(schema)) return REFUSED;
    let answers = this.#answers.get(schema);
    if (!answers) {
      answers = new Map();
      this.#answers.set(schema, answers);
    }
    const known = answers.get(value);
    if (known === OPEN) throw new Unfinished("its schema refers to itself without end");
    if (known) return known;
    if (this.#depth >= MAX_DEPTH) throw new Unfinished("it is nested too deep");
    answers.set(value, OPEN);
    this.#depth += 1;
    const outcome = this.#evaluate(schema, value);
    this.#depth -= 1;
    answers.set(value, outcome);
    return outcome;
  }

  target(schema: SchemaObject): unknown {
    return this.#material.references.target(schema);
  }

  expression(pattern: string): Expression | null {
    return this.#material.expressions.get(pattern) ?? null;
  }

  #evaluate(schema: SchemaObject, value: unknown): Outcome {
    const place: Place = { schema, marks: this.#material.marks ? newMarks() : null };
    for (const [rule, given] of this.#rulesOf(schema)) {
      this.spend(1);
      const problem = rule(given, value, place, this);
      if (problem) return { problem, marks: null };
    }
    return place.marks === null ? FITS : { problem: null, marks: place.marks };
  }

  #rulesOf(schema: SchemaObject): (readonly [Rule, unknown])[] {
    const known = this.#rules.get(schema);
    if (known) return known;
    // In draft-07, nothing counts beside a reference.
    const alone = this.#material.dialect === "draft-07" && schema.$ref !== undefined;
    const rules: (readonly [Rule, unknown])[] = [];
    for (const [keyword, rule] of RULES) {
      if (Object.hasOwn(schema, keyword) && (!alone || keyword === "$ref")) rules.push([rule, schema[keyword]]);
    }
    this.#rules.set(schema, rules);
    return rules;
  }
}

function newMarks(): Marks {
  return { properties: new Set(), items: new Set() };
}

/** What is unevaluated is known when all else is done. */
function weight(keyword: string): number {
  return keyword.startsWith("unevaluated") ? 1 : 0;
}
