/**
 * A route, declared once: who may call it, what it takes, what it answers, and the code that answers. The app serves what is
 * declared and refuses every other method and query parameter; the OpenAPI document describes the same declaration.
 */
import type { AccessConfig } from "../auth/access-config.ts";
import type { Config } from "../contracts/config.ts";
import type { InstanceTool } from "../contracts/instance-tool.ts";
import type { Scope } from "../contracts/scopes.ts";
import type { ErrorCode } from "../platform/errors.ts";
import type { CallContext } from "./context.ts";
import type { JsonSchema } from "./json-schema.ts";
import type { McpServerDefinition } from "./mcp/endpoint.ts";
import { NO_QUERY, type Query } from "./query.ts";
import type { RequestBody } from "./request-body.ts";

/** HEAD comes with GET. */
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * Who may call a route:
 * - `anyone`: no key is looked at. For what has to be there before somebody has logged in.
 * - `optional`: served without a key; a key that is sent has to be valid.
 * - `caller`: every principal with any scope. The tool that is called asks for its own scope.
 * - a scope: every principal that has it.
 */
export type Access = "anyone" | "optional" | "caller" | Scope;

/** What a deployment serves beside the routes' own code. */
export interface Service {
  routes: readonly Route[];
  /** The tools that its instances may have. */
  instanceTools: readonly InstanceTool[];
  /** What MCP clients find. */
  mcp: McpServerDefinition;
}

/** One request to a route, for the handler that answers it. */
export interface RouteCall<Path extends string = string, A extends Access = Access, Q = unknown, B = unknown> {
  request: Request;
  url: URL;
  env: Env;
  /** Throws where there is none: only tests have none. */
  execution(): ExecutionContext;
  config: Config;
  access: AccessConfig;
  service: Service;
  /** The parts of the path that the route names, decoded. */
  params: Record<PathParam<Path>, string>;
  query: Q;
  body: B;
  /** What tools are run with, for the principal that calls; null for a caller without one. */
  context: A extends "anyone" ? null : A extends "optional" ? CallContext | null : CallContext;
}

type PathParam<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${infer Name}/${infer More}`
    ? Name | PathParam<`/${More}`>
    : Rest
  : never;

/** What the OpenAPI document says of a route beside what follows from its declaration. */
export interface Operation {
  id: string;
  tag: "tools" | "instances" | "files" | "teams" | "events" | "server";
  summary: string;
  description?: string;
  /** Request headers that the route reads. */
  headers?: Readonly<Record<string, JsonSchema>>;
  /** Examples of the body and of the answer. */
  example?: { request: unknown; answer: unknown };
  /** What a success is. Default: 200, with any answer of the contract. */
  success?: Success;
  /** Codes that it may fail with, beside those that follow from its access, path, body and tool. */
  errors?: readonly ErrorCode[];
}

export interface Success {
  statuses?: readonly SuccessStatus[];
  type?: string;
  schema?(): JsonSchema;
}
export type SuccessStatus = 200 | 201 | 206 | 304;

interface Declaration<Path extends string, A extends Access, Q, B> {
  method: Method;
  /** In Hono's syntax: `:name` is one segment, a `*` at the end is one or more. The most literal route of those that fit answers. */
  path: Path;
  access: A;
  query: Query<Q>;
  body: RequestBody<B> | null;
  /** `null`: served, and not part of the API that the document describes. */
  operation: Operation | null;
  handle(call: RouteCall<Path, A, Q, B>): Promise<Response> | Response;
}

export type Route = Declaration<string, Access, unknown, unknown>;

/** A route with the types of its path, query and body, which the table forgets: that is a list of like things. */
export function defineRoute<const Path extends string, const A extends Access, Q = Record<never, never>, B = undefined>(
  route: Omit<Declaration<Path, A, Q, B>, "query" | "body"> & { query?: Query<Q>; body?: RequestBody<B> },
): Route {
  return { query: NO_QUERY, body: null, ...route } as unknown as Route;
}

/** A route as messages and tests name it. */
export function nameOf({ method, path }: Pick<Route, "method" | "path">): string {
  return `${method} ${path}`;
}
