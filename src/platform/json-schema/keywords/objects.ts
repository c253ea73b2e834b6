/** Keywords that judge objects. */
import { addMarks, type Evaluation, type Place, type Problem, type Rule, within } from "../rule.ts";
import { isObject, type SchemaObject } from "../schema.ts";

const properties: Rule = (given, value, place, run) => {
  if (!isObject(value)) return null;
  const schemas = given as SchemaObject;
  for (const name of run.keys(value)) {
    run.spend(1);
    if (!Object.hasOwn(schemas, name)) continue;
    const problem = judged(run, place, schemas[name], value, name);
    if (problem) return problem;
  }
  return null;
};

const patternProperties: Rule = (given, value, place, run) => {
  if (!isObject(value)) return null;
  const schemas = given as SchemaObject;
  for (const pattern of run.keys(schemas)) {
    run.spend(1);
    for (const name of run.keys(value)) {
      if (!matches(run, pattern, name)) continue;
      const problem = judged(run, place, schemas[pattern], value, name);
      if (problem) return problem;
    }
  }
  return null;
};

const additionalProperties: Rule = (given, value, place, run) => {
  if (!isObject(value)) return null;
  const { properties = {}, patternProperties = {} } = place.schema as Record<string, SchemaObject>;
  const patterns = run.keys(patternProperties);
  for (const name of run.keys(value)) {
    run.spend(1);
    if (Object.hasOwn(properties, name) || patterns.some((pattern) => matches(run, pattern, name))) continue;
    const problem = further(run, place, given, value, name);
    if (problem) return problem;
  }
  return null;
};

const unevaluatedProperties: Rule = (given, value, place, run) => {
  const seen = place.marks?.properties ?? "all";
  if (!isObject(value) || seen === "all") return null;
  for (const name of run.keys(value)) {
    run.spend(1);
    if (seen.has(name)) continue;
    const problem = further(run, place, given, value, name);
    if (problem) return problem;
  }
  return null;
};

const propertyNames: Rule = (given, value, _place, run) => {
  if (!isObject(value)) return null;
  for (const name of run.keys(value)) {
    const { problem } = run.apply(given, name);
    if (!problem) continue;
    return {
      get message() {
        return `has the property name ${shown(name)}, which ${sentence(problem)}`;
      },
    };
  }
  return null;
};

const required: Rule = (given, value, _place, run) => {
  if (!isObject(value)) return null;
  const names = given as string[];
  run.spend(names.length);
  const missing = names.filter((name) => !Object.hasOwn(value, name));
  return missing.length === 0 ? null : { message: `lacks the required ${missing.slice(0, 10).map(shown).join(", ")}` };
};

const minProperties: Rule = (given, value, _place, run) =>
  isObject(value) && run.keys(value).length < Number(given) ? { message: `has fewer than ${given} properties` } : null;

const maxProperties: Rule = (given, value, _place, run) =>
  isObject(value) && run.keys(value).length > Number(given) ? { message: `has more than ${given} properties` } : null;

/** `dependentRequired`, `dependentSchemas`, and what both were before: a list of names or a schema by property. */
const dependent: Rule = (given, value, place, run) => {
  if (!isObject(value)) return null;
  const consequences = given as SchemaObject;
  for (const name of run.keys(consequences)) {
    run.spend(1);
    if (!Object.hasOwn(value, name)) continue;
    const then = consequences[name];
    if (Array.isArray(then)) {
      run.spend(then.length);
      const missing = then.map(String).filter((other) => !Object.hasOwn(value, other));
      if (missing.length > 0) {
        return {
          message: `has ${shown(name)}, and lacks the ${missing.slice(0, 10).map(shown).join(", ")} it requires`,
        };
      }
      continue;
    }
    const outcome = run.apply(then, value);
    if (outcome.problem) return outcome.problem;
    addMarks(run, place, outcome);
  }
  return null;
};

function judged(run: Evaluation, place: Place, schema: unknown, value: SchemaObject, name: string): Problem | null {
  if (place.marks && place.marks.properties !== "all") place.marks.properties.add(name);
  return within(name, run.apply(schema, value[name]));
}

/** A property that nothing else in its schema is about. */
function further(run: Evaluation, place: Place, schema: unknown, value: SchemaObject, name: string): Problem | null {
  if (schema === false) return { message: `has the property ${shown(name)}, which is not allowed` };
  return judged(run, place, schema, value, name);
}

function matches(run: Evaluation, pattern: string, name: string): boolean {
  const expression = run.expression(pattern);
  run.spend(1 + Math.ceil((name.length * (expression?.size ?? 0)) / 10));
  return expression?.test(name) === true;
}

function sentence(problem: Problem): string {
  let at = problem;
  while (at.inner !== undefined) at = at.inner;
  return at.message;
}

/** A property's name in a sentence. */
function shown(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60).toWellFormed()}...` : name);
}

export const OBJECTS: Readonly<Record<string, Rule>> = {
  properties,
  patternProperties,
  additionalProperties,
  propertyNames,
  required,
  minProperties,
  maxProperties,
  dependencies: dependent,
  dependentRequired: dependent,
  dependentSchemas: dependent,
  unevaluatedProperties,
};
