/** Keywords that judge the same value by other schemas. */
import { addMarks, depthOf, type Problem, type Rule } from "../rule.ts";

const $ref: Rule = (_given, value, place, run) => {
  const outcome = run.apply(run.target(place.schema), value);
  addMarks(run, place, outcome);
  return outcome.problem;
};

const allOf: Rule = (given, value, place, run) => {
  for (const part of given as unknown[]) {
    const outcome = run.apply(part, value);
    if (outcome.problem) return outcome.problem;
    addMarks(run, place, outcome);
  }
  return null;
};

const anyOf: Rule = (given, value, place, run) => {
  const problems: Problem[] = [];
  let fits = false;
  for (const part of given as unknown[]) {
    const outcome = run.apply(part, value);
    addMarks(run, place, outcome);
    if (outcome.problem) problems.push(outcome.problem);
    else fits = true;
    // Each one that fits marks what it has judged.
    if (fits && place.marks === null) return null;
  }
  return fits ? null : nearest(problems);
};

const oneOf: Rule = (given, value, place, run) => {
  const problems: Problem[] = [];
  let fitting = 0;
  for (const part of given as unknown[]) {
    const outcome = run.apply(part, value);
    addMarks(run, place, outcome);
    if (outcome.problem) problems.push(outcome.problem);
    else fitting += 1;
  }
  if (fitting === 1) return null;
  return fitting === 0
    ? nearest(problems)
    : { message: `matches ${fitting} of the alternatives in oneOf, and may match only one` };
};

const not: Rule = (given, value, _place, run) =>
  run.apply(given, value).problem ? null : { message: "matches the schema in not, and may not" };

const condition: Rule = (given, value, place, run) => {
  const outcome = run.apply(given, value);
  addMarks(run, place, outcome);
  const next = outcome.problem ? place.schema.else : place.schema.then;
  if (next === undefined) return null;
  const consequence = run.apply(next, value);
  addMarks(run, place, consequence);
  return consequence.problem;
};

/** Of the alternatives' problems the one that lies deepest: that alternative fitted best. */
function nearest(problems: readonly Problem[]): Problem {
  const [first, ...rest] = problems;
  if (!first) return { message: "matches none of no alternatives" };
  const best = rest.reduce((one, other) => (depthOf(other) > depthOf(one) ? other : one), first);
  if (best.inner !== undefined) return best;
  const { length } = problems;
  return {
    get message() {
      return `matches none of the ${length} alternatives (the first: ${best.message})`.slice(0, 300);
    },
  };
}

export const COMBINATORS: Readonly<Record<string, Rule>> = { $ref, allOf, anyOf, oneOf, not, if: condition };
