/**
 * Query parameters, declared once per route: what is documented is what is checked. Every route refuses a parameter that it
 * does not declare and one that is given twice, naming it.
 */
import * as z from "zod";
import { MadroxError } from "../platform/errors.ts";
import { invalidInput } from "../platform/invalid-input.ts";
import { type JsonSchema, type ObjectSchema, objectSchemaOf } from "./json-schema.ts";

export interface Query<Values> {
  /** The declared parameters; null where any may come. */
  schema(): ObjectSchema | null;
  /** The values of a request. `route` names the route in what is thrown: `invalid_input`, with the parameter as `field`. */
  read(given: URLSearchParams, route: string): Values;
}

/** The parameters of a route, by name. Each has a schema of one value, as JSON would have it: `z.int()`, not text of digits. */
export function query<Shape extends z.ZodRawShape>(shape: Shape): Query<z.output<z.ZodObject<Shape, z.core.$strict>>> {
  const checked = z.strictObject(shape);
  const fields = fieldsQuery(() => objectSchemaOf(checked));
  return {
    schema: () => fields.schema(),
    read(given, route) {
      const result = checked.safeParse(fields.read(given, route));
      if (result.success) return result.data;
      throw invalidInput(result.error, {
        refusal: `${route} can't be called like this.`,
        whole: "query",
        unknown: UNKNOWN,
        details: { field: result.error.issues[0]?.path.join(".") || "query" },
      });
    },
  };
}

/** Parameters with these schemas, whose values somebody else checks: a tool its input. */
export function fieldsQuery(fields: () => ObjectSchema): Query<Record<string, unknown>> {
  return {
    schema: fields,
    read(given, route) {
      const { properties } = fields();
      const values = [...new Set(given.keys())].map((name) => {
        if (!Object.hasOwn(properties, name)) throw refused(route, name, UNKNOWN);
        if (given.getAll(name).length > 1) throw refused(route, name, "is given more than once");
        return [name, parameterValue(given.get(name) ?? "", properties[name] ?? {})];
      });
      return Object.fromEntries(values);
    },
  };
}

/** For routes that take no parameter. */
export const NO_QUERY: Query<Record<never, never>> = query({});

/** For routes whose parameters are somebody else's: of a standard that has servers ignore unknown ones, or of a page's own script. */
export const ANY_QUERY: Query<URLSearchParams> = { schema: () => null, read: (given) => given };

const UNKNOWN = "is no query parameter of this route";

function refused(route: string, name: string, problem: string): MadroxError {
  const field = name.slice(0, 100).toWellFormed();
  return new MadroxError("invalid_input", `${route} can't be called like this. ${field}: ${problem}.`, {
    field,
    issues: [{ field, problem }],
  });
}

/** The number or boolean that a text is, where the schema is of one; any other text stays text, for the schema to refuse. */
function parameterValue(text: string, { type }: JsonSchema): unknown {
  if (type === "integer") return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return text;
}
