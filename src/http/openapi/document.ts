/**
 * The OpenAPI 3.1 document, made of the catalogue and of the routes: nothing in it is written twice. Each tool is an operation
 * of its own, so that a generated client has its types.
 */
import { type Access, type Method, ROUTES, type RoutePath } from "../../auth/rules.ts";
import { ERROR_STATUS, type ErrorCode } from "../../platform/errors.ts";
import { VERSION } from "../../platform/version.ts";
import { CATALOGUE, toolByName } from "../../tools/runtime/catalogue.ts";
import { jsonSchemaOf, type Tool } from "../../tools/runtime/tool.ts";
import { type Example, exampleOf } from "./examples.ts";
import { OPERATIONS, type Operation } from "./operations.ts";

export type Json = Record<string, unknown>;

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description?: string;
  schema: Json;
}

/** An operation as it stands in the document. */
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
const ALWAYS: readonly ErrorCode[] = ["invalid_input", "internal"];
/** And any that asks for a key. */
const WITH_KEY: readonly ErrorCode[] = ["unauthorized", "forbidden", "limit_reached"];
/** And any that runs a tool that changes something. */
const CHANGING: readonly ErrorCode[] = [
  "not_found",
  "conflict",
  "budget_exceeded",
  "too_large",
  "upstream_error",
  "refused",
];

let made: OpenApi | undefined;

/** The document for a server at this origin. */
export function openApi(origin: string): OpenApi {
  made ??= build();
  return { ...made, servers: [{ url: origin }] };
}

function build(): OpenApi {
  const paths: OpenApi["paths"] = {};
  for (const [route, operations] of Object.entries(OPERATIONS) as [
    RoutePath,
    Partial<Record<Method, Operation | null>>,
  ][]) {
    for (const [method, operation] of Object.entries(operations) as [Method, Operation | null][]) {
      if (!operation) continue;
      const access = (ROUTES[route] as Partial<Record<Method, Access>>)[method] ?? "caller";
      const { path, names } = pathOf(route);
      paths[path] = { ...paths[path], [method.toLowerCase()]: described(operation, method, names, access) };
    }
  }
  for (const tool of CATALOGUE) paths[`/tools/${tool.name}`] = { post: toolOperation(tool) };
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
    tags: [...new Set(Object.values(paths).flatMap((path) => Object.values(path).flatMap(({ tags }) => tags)))].map(
      (name) => ({ name }),
    ),
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

/** `/instances/:id/files/*` as `/instances/{id}/files/{path}`, with the names of its parameters. */
function pathOf(route: string): { path: string; names: string[] } {
  const path = route.replace(/:([a-z]+)/g, "{$1}").replace("*", "{path}");
  return { path, names: [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => name ?? "") };
}

function described(operation: Operation, method: Method, names: string[], access: Access): Described {
  const tool = operation.tool === undefined ? undefined : toolByName(operation.tool);
  const input = tool ? fieldsOf(tool, names) : { properties: {}, required: [] };
  const query = method === "GET" ? { ...input.properties, ...operation.query } : operation.query;
  const parameters: Parameter[] = [
    ...names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } }) as const),
    ...Object.entries(query ?? {}).map(([name, schema]) => parameter("query", name, schema)),
    ...Object.entries(operation.headers ?? {}).map(([name, schema]) => parameter("header", name, schema)),
  ];
  const body =
    operation.body ?? (tool && method === "POST" ? { type: "application/json", schema: objectOf(input) } : undefined);
  const answer = operation.answer ?? {
    type: "application/json",
    schema: tool ? jsonSchemaOf(tool.output) : ref("Answer"),
  };
  return {
    operationId: operation.id,
    tags: [operation.tag],
    summary: operation.summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: true, content: { [body.type]: { schema: body.schema } } } } : {}),
    responses: {
      "200": { description: "Done", content: { [answer.type]: { schema: answer.schema } } },
      ...(operation.creates
        ? { "201": { description: "Created", content: { [answer.type]: { schema: answer.schema } } } }
        : {}),
      ...failures(access, [...(operation.errors ?? []), ...(tool ? (["not_found"] as const) : [])]),
    },
    ...(access === "anyone" || access === "optional" ? { security: [{}, { key: [] }] } : {}),
  };
}

function toolOperation(tool: Tool): Described {
  const example: Example | undefined = exampleOf(tool.name);
  return {
    operationId: tool.name,
    tags: ["tools"],
    summary: tool.title,
    description: tool.description,
    ...(tool.changes ? { parameters: [parameter("header", "Idempotency-Key", { type: "string" })] } : {}),
    requestBody: {
      required: true,
      content: {
        "application/json": { schema: jsonSchemaOf(tool.input), ...(example ? { example: example.request } : {}) },
      },
    },
    responses: {
      "200": {
        description: "Done",
        content: {
          "application/json": { schema: jsonSchemaOf(tool.output), ...(example ? { example: example.answer } : {}) },
        },
      },
      ...failures("caller", tool.changes ? CHANGING : ["not_found"]),
    },
  };
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

function parameter(place: "query" | "header", name: string, schema: Json): Parameter {
  const { description, ...rest } = schema;
  return {
    name,
    in: place,
    required: false,
    ...(typeof description === "string" ? { description } : {}),
    schema: rest,
  };
}

/** A tool's fields without those that the path gives. The path says `id` where a tool says `instance_id`, `question_id` or `job_id`. */
function fieldsOf(tool: Tool, names: string[]): { properties: Record<string, Json>; required: string[] } {
  const { properties = {}, required = [] } = jsonSchemaOf(tool.input) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  const given = new Set(names.includes("id") ? ["instance_id", "question_id", "job_id"] : []);
  const onlyOne = tool.name === "get_instance_status" && given.size > 0;
  const kept = Object.entries(properties).filter(([name]) => !given.has(name) && !onlyOne);
  return { properties: Object.fromEntries(kept), required: required.filter((name) => !given.has(name)) };
}

function objectOf({ properties, required }: { properties: Json; required: string[] }): Json {
  return { type: "object", properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false };
}

function failures(access: Access, own: readonly ErrorCode[]): Record<string, Json> {
  const codes = [...ALWAYS, ...(access === "anyone" ? [] : WITH_KEY), ...own];
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
