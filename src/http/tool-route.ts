/**
 * A route that runs a tool of the catalogue: its parameters, its answer, its scope and what it may fail with are the tool's.
 */
import type { ErrorCode } from "../platform/errors.ts";
import { dispatch } from "../tools/runtime/dispatch.ts";
import { jsonSchemaOf, type Tool } from "../tools/runtime/tool.ts";
import { json } from "./json.ts";
import { objectSchemaOf, strictSchema } from "./json-schema.ts";
import { fieldsQuery } from "./query.ts";
import { jsonObject } from "./request-body.ts";
import { type Access, defineRoute, type Method, type Operation, type Route } from "./route.ts";

/** What a tool that changes something may fail with. */
export const CHANGING: readonly ErrorCode[] = [
  "not_found",
  "conflict",
  "budget_exceeded",
  "too_large",
  "upstream_error",
  "refused",
];

export interface ToolRoute {
  method: Method & ("GET" | "POST");
  path: string;
  tool: Tool;
  /** Default: the tool's scope. */
  access?: Access;
  /** The tool's field that each part of the path is. */
  params?: Readonly<Record<string, string>>;
  /** Whether the tool's other fields can be given: as query parameters of a GET, as the body of a POST. */
  takesFields?: boolean;
  operation: Operation;
}

export function toolRoute({
  method,
  path,
  tool,
  access = tool.scope,
  params: fieldOf = {},
  takesFields = true,
  operation,
}: ToolRoute): Route {
  const fields = () =>
    takesFields ? objectSchemaOf(tool.input, Object.values(fieldOf)) : { properties: {}, required: [] };
  const bodyRequired = () => Object.values(fieldOf).length === 0 || fields().required.length > 0;
  return defineRoute<string, Access, Record<string, unknown>, Record<string, unknown> | undefined>({
    method,
    path,
    access,
    ...(method === "GET"
      ? { query: fieldsQuery(fields) }
      : { body: jsonObject(() => strictSchema(fields()), bodyRequired) }),
    operation: {
      ...operation,
      headers: { ...(tool.changes ? { "Idempotency-Key": { type: "string" } } : {}), ...operation.headers },
      success: { schema: () => jsonSchemaOf(tool.output), ...operation.success },
      errors: [...(tool.changes ? CHANGING : (["not_found"] as const)), ...(operation.errors ?? [])],
    },
    async handle({ context, request, query, body, params }) {
      if (!context) throw new Error(`${path} runs a tool for a caller without a key.`);
      const named = Object.entries(fieldOf).map(([param, field]) => [field, params[param as never]]);
      const input = { ...query, ...body, ...Object.fromEntries(named) };
      return json(await dispatch(context, tool.name, input, request.headers.get("idempotency-key")));
    },
  });
}
