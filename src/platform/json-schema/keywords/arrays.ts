/** Keywords that judge arrays. */
import { canonical } from "../equality.ts";
import { type Evaluation, type Place, type Problem, type Rule, within } from "../rule.ts";

const prefixItems: Rule = (given, value, place, run) =>
  Array.isArray(value) ? tuple(given as unknown[], value, place, run) : null;

const items: Rule = (given, value, place, run) => {
  if (!Array.isArray(value)) return null;
  // Until 2019-09 a list was what `prefixItems` is since.
  if (Array.isArray(given)) return tuple(given, value, place, run);
  const { prefixItems } = place.schema;
  return rest(given, value, Array.isArray(prefixItems) ? prefixItems.length : 0, place, run);
};

const additionalItems: Rule = (given, value, place, run) => {
  const { items } = place.schema;
  return Array.isArray(value) && Array.isArray(items) ? rest(given, value, items.length, place, run) : null;
};

const contains: Rule = (given, value, place, run) => {
  if (!Array.isArray(value)) return null;
  const least = Number(place.schema.minContains ?? 1);
  const most = Number(place.schema.maxContains ?? Number.POSITIVE_INFINITY);
  let found = 0;
  for (const [index, item] of value.entries()) {
    if (run.apply(given, item).problem) continue;
    found += 1;
    if (place.marks && place.marks.items !== "all") place.marks.items.add(index);
  }
  if (found < least) return { message: `has ${found} items of the kind in contains, and needs at least ${least}` };
  return found > most ? { message: `has ${found} items of the kind in contains, and may have ${most}` } : null;
};

const unevaluatedItems: Rule = (given, value, place, run) => {
  const seen = place.marks?.items ?? "all";
  if (!Array.isArray(value) || seen === "all") return null;
  for (const [index, item] of value.entries()) {
    run.spend(1);
    if (seen.has(index)) continue;
    const problem = judged(given, item, index, place, run);
    if (problem) return problem;
  }
  return null;
};

const minItems: Rule = (given, value) =>
  Array.isArray(value) && value.length < Number(given) ? { message: `has fewer than ${given} items` } : null;

const maxItems: Rule = (given, value) =>
  Array.isArray(value) && value.length > Number(given) ? { message: `has more than ${given} items` } : null;

const uniqueItems: Rule = (given, value, _place, run) => {
  if (given !== true || !Array.isArray(value)) return null;
  const seen = new Map<string, number>();
  for (const [index, item] of value.entries()) {
    const text = canonical(item, run);
    const before = seen.get(text);
    if (before !== undefined) return { message: `has the same item at ${before} and ${index}, and all must differ` };
    seen.set(text, index);
  }
  return null;
};

function tuple(schemas: readonly unknown[], value: readonly unknown[], place: Place, run: Evaluation): Problem | null {
  for (const [index, schema] of schemas.entries()) {
    if (index >= value.length) return null;
    const problem = judged(schema, value[index], index, place, run);
    if (problem) return problem;
  }
  return null;
}

function rest(schema: unknown, value: readonly unknown[], from: number, place: Place, run: Evaluation): Problem | null {
  if (schema === false && value.length > from) return { message: `has more than ${from} items` };
  for (let index = from; index < value.length; index++) {
    run.spend(1);
    const problem = judged(schema, value[index], index, place, run);
    if (problem) return problem;
  }
  return null;
}

function judged(schema: unknown, item: unknown, index: number, place: Place, run: Evaluation): Problem | null {
  if (place.marks && place.marks.items !== "all") place.marks.items.add(index);
  return within(index, run.apply(schema, item));
}

export const ARRAYS: Readonly<Record<string, Rule>> = {
  prefixItems,
  items,
  additionalItems,
  contains,
  minItems,
  maxItems,
  uniqueItems,
  unevaluatedItems,
};
