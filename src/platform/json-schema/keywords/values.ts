/** Keywords that judge any value, numbers and texts. */
import { isEqual } from "../equality.ts";
import { FORMATS } from "../formats.ts";
import type { Problem, Rule } from "../rule.ts";
import { isObject } from "../schema.ts";

const type: Rule = (given, value, _place, run) => {
  const types = Array.isArray(given) ? given : [given];
  run.spend(types.length);
  const kind = kindOf(value);
  if (types.some((one) => one === kind || (one === "number" && kind === "integer"))) return null;
  return {
    get message() {
      return `must be ${[...new Set(types)].map(named).join(" or ")}, and is ${named(kind)}`;
    },
  };
};

const enumeration: Rule = (given, value, _place, run) => {
  const allowed = given as unknown[];
  return allowed.some((one) => isEqual(one, value, run)) ? null : otherThan("must be one of", allowed, value);
};

const constant: Rule = (given, value, _place, run) =>
  isEqual(given, value, run) ? null : otherThan("must be", [given], value);

/** Said, and compared again, only for the one problem that is told. */
function otherThan(must: string, allowed: readonly unknown[], value: unknown): Problem {
  return {
    get message() {
      return `${must} ${listed(allowed)}, and is ${listed([value])}`;
    },
    get instead() {
      return meant(allowed, value);
    },
  };
}

/** The one text that differs in its capitals only; undefined: there is none, or more than one. */
function meant(allowed: readonly unknown[], value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const alike = allowed.filter((text): text is string => typeof text === "string" && text.length === value.length);
  const small = alike.length > 0 ? value.toLowerCase() : "";
  const [one, ...others] = alike.filter((text) => text.toLowerCase() === small);
  return others.length > 0 ? undefined : one;
}

const minimum: Rule = (given, value, { schema }) => {
  if (typeof value !== "number") return null;
  // Until draft-04 it was a switch.
  if (schema.exclusiveMinimum === true && value === given) return { message: `must be greater than ${given}` };
  return value < Number(given) ? { message: `must be at least ${given}` } : null;
};

const maximum: Rule = (given, value, { schema }) => {
  if (typeof value !== "number") return null;
  if (schema.exclusiveMaximum === true && value === given) return { message: `must be less than ${given}` };
  return value > Number(given) ? { message: `must be at most ${given}` } : null;
};

const exclusiveMinimum: Rule = (given, value) =>
  typeof value === "number" && typeof given === "number" && value <= given
    ? { message: `must be greater than ${given}` }
    : null;

const exclusiveMaximum: Rule = (given, value) =>
  typeof value === "number" && typeof given === "number" && value >= given
    ? { message: `must be less than ${given}` }
    : null;

const multipleOf: Rule = (given, value) => {
  if (typeof value !== "number") return null;
  const step = Number(given);
  const times = value / step;
  // 0.0075 is no whole number of 0.0001 in binary.
  const whole = value % step === 0 || (Number.isFinite(times) && Math.abs(times - Math.round(times)) < 1e-9);
  return whole ? null : { message: `must be a multiple of ${given}` };
};

const minLength: Rule = (given, value, _place, run) => {
  if (typeof value !== "string") return null;
  if (value.length >= Number(given) * 2) return null;
  return characters(value, run.spend) < Number(given) ? { message: `has fewer than ${given} characters` } : null;
};

const maxLength: Rule = (given, value, _place, run) => {
  if (typeof value !== "string" || value.length <= Number(given)) return null;
  return characters(value, run.spend) > Number(given) ? { message: `has more than ${given} characters` } : null;
};

const pattern: Rule = (given, value, _place, run) => {
  if (typeof value !== "string") return null;
  const expression = run.expression(String(given));
  if (!expression) return null;
  run.spend(Math.ceil((value.length * expression.size) / 10));
  return expression.test(value) ? null : { message: `does not match the pattern ${String(given).slice(0, 200)}` };
};

const format: Rule = (given, value, _place, run) => {
  if (typeof value !== "string") return null;
  const isOne = FORMATS.get(String(given));
  if (!isOne) return null;
  run.spend(1 + value.length / 16);
  return isOne(value) ? null : { message: `is no ${given}` };
};

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (isObject(value)) return "object";
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value;
}

function named(kind: unknown): string {
  if (kind === "null") return "null";
  return kind === "array" || kind === "object" || kind === "integer" ? `an ${kind}` : `a ${String(kind)}`;
}

function listed(values: readonly unknown[]): string {
  const shown = values.slice(0, 10).map((value) => {
    if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
    // A part of a long text, not of what is made of the whole: the part would keep all of that alive.
    const text = JSON.stringify(typeof value === "string" ? value.slice(0, 61) : value);
    return text.length > 60 ? `${text.slice(0, 60).toWellFormed()}...` : text;
  });
  return values.length > 10 ? `${shown.join(", ")} and ${values.length - 10} more` : shown.join(", ");
}

/** Code points, as JSON Schema counts. */
function characters(text: string, spend: (steps: number) => void): number {
  spend(1 + text.length / 16);
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

export const VALUES: Readonly<Record<string, Rule>> = {
  type,
  enum: enumeration,
  const: constant,
  minimum,
  maximum,
  exclusiveMinimum,
  exclusiveMaximum,
  multipleOf,
  minLength,
  maxLength,
  pattern,
  format,
};
