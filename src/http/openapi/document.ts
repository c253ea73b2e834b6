/**
 * The OpenAPI 3.1 document, made of the routes' own declarations. Each tool is an operation of its own, so that a generated
 * client has its types.
 */
import { ERROR_STATUS, type ErrorCode } from "../../platform/errors.ts";
import { VERSION } from "../../platform/version.ts";
import type { Operation, Route, SuccessStatus } from "../route.ts";

export type Json = Record<string, unknown>;

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description?: string;
  schema: Json;
}

/** An operation of the document. */
export interface Described {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: Json; example?: unknown }> };
  responses: Record<string, Json>;
  security?: Json[];
}

export interface OpenApi {
  openapi: "3.1.0";
  info: Json;
  servers: { url: string }[];
  security: Json[];
  tags: { name: string }[];
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Json>; responses: Record<string, Json>; securitySchemes: Json };
}

/** What any operation may fail with. */
const ALWAYS: readonly ErrorCode[] = ["invalid_input", "internal", "misconfigured"];
/** And any that asks for a key. */
const WITH_KEY: readonly ErrorCode[] = ["unauthorized", "forbidden", "limit_reached"];

const made = new WeakMap<readonly Route[], OpenApi>();

/** The document of a server with these routes, at this origin. */
export function openApi(routes: readonly Route[], origin: string): OpenApi {
  const document = made.get(routes) ?? build(routes);
  made.set(routes, document);
  return { ...document, servers: [{ url: origin }] };
}

function build(routes: readonly Route[]): OpenApi {
  const paths: OpenApi["paths"] = {};
  for (const route of routes) {
    if (!route.operation) continue;
    const path = templateOf(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: described(route, route.operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Madrox",
      version: VERSION,
      summary: "Many Claude instances, over REST. The same tools as over MCP, with the same JSON.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [],
    security: [{ key: [] }, {}],
    tags: [...new Set(routes.flatMap(({ operation }) => operation?.tag ?? []))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: "An access key, or an OAuth token of this server" },
      },
      schemas: { Answer: ANSWER, Error: ERROR },
      responses: Object.fromEntries(Object.entries(byStatus(Object.keys(ERROR_STATUS) as ErrorCode[])).map(named)),
    },
  };
}

const ANSWER: Json = {
  type: "object",
  properties: { success: { type: "boolean" }, message: { type: "string" } },
  required: ["success"],
  additionalProperties: true,
};

const ERROR: Json = {
  type: "object",
  properties: {
    success: { const: false },
    error: { type: "string", enum: Object.keys(ERROR_STATUS), description: "A stable code" },
    message: { type: "string", description: "What happened, and what to do next" },
    details: { type: "object", additionalProperties: true },
  },
  required: ["success", "error", "message"],
  additionalProperties: true,
};

/** `/instances/:id/files/*` as `/instances/{id}/files/{path}` */
function templateOf(path: string): string {
  return path.replace(/:([a-z]+)/g, "{$1}").replace("*", "{path}");
}

function described(route: Route, operation: Operation): Described {
  const names = [...templateOf(route.path).matchAll(/\{([a-z]+)\}/g)].map(([, name = ""]) => name);
  const query = route.query.schema() ?? { properties: {}, required: [] };
  const parameters: Parameter[] = [
    ...names.map((name) => parameter("path", name, { type: "string" }, true)),
    ...Object.entries(query.properties).map(([name, schema]) =>
      parameter("query", name, schema, query.required.includes(name)),
    ),
    ...Object.entries(operation.headers ?? {}).map(([name, schema]) => parameter("header", name, schema)),
  ];
  const { body, access } = route;
  const { example } = operation;
  return {
    operationId: operation.id,
    tags: [operation.tag],
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: body.required(),
            content: { [body.type]: { schema: body.schema(), ...(example ? { example: example.request } : {}) } },
          },
        }
      : {}),
    responses: { ...successes(operation), ...failures(route, operation) },
    ...(access === "anyone" || access === "optional" ? { security: [{}, { key: [] }] } : {}),
  };
}

const SAYS: Record<SuccessStatus, string> = {
  200: "Done",
  201: "Created",
  206: "The part that was asked for",
  304: "Not modified",
};

function successes({ success = {}, example }: Operation): Record<string, Json> {
  const { statuses = [200], type = "application/json", schema = () => ref("Answer") } = success;
  const content = { [type]: { schema: schema(), ...(example ? { example: example.answer } : {}) } };
  return Object.fromEntries(
    statuses.map((status) => [status, { description: SAYS[status], ...(status === 304 ? {} : { content }) }]),
  );
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

function parameter(place: Parameter["in"], name: string, schema: Json, required = false): Parameter {
  const { description, ...rest } = schema;
  return {
    name,
    in: place,
    required,
    ...(typeof description === "string" ? { description } : {}),
    schema: rest,
  };
}

/** The failures of a route, by its access, path and body, and those that it declares. */
function failures({ access, path, body }: Route, { errors = [] }: Operation): Record<string, Json> {
  const codes = [
    ...ALWAYS,
    ...(access === "anyone" ? [] : WITH_KEY),
    ...(/[:*]/.test(path) ? (["not_found"] as const) : []),
    ...(body?.errors ?? []),
    ...errors,
  ];
  return Object.fromEntries(
    Object.keys(byStatus(codes)).map((status) => [status, { $ref: `#/components/responses/${nameOf(status)}` }]),
  );
}

function byStatus(codes: readonly ErrorCode[]): Record<string, ErrorCode[]> {
  const grouped: Record<string, ErrorCode[]> = {};
  for (const code of codes) {
    const status = String(ERROR_STATUS[code]);
    grouped[status] = [...(grouped[status] ?? []), code];
  }
  return grouped;
}

const nameOf = (status: string) => `Error${status}`;

function named([status, codes]: [string, ErrorCode[]]): [string, Json] {
  return [nameOf(status), { description: codes.join(", "), content: { "application/json": { schema: ref("Error") } } }];
}
