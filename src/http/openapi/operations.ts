/**
 * What each route does, for those who read the OpenAPI document: one entry a route and method of `ROUTES`, and the compiler
 * holds the two tables to each other. Routes that run a tool take their parameters and answers from the catalogue.
 */
import type { Method, ROUTES, RoutePath } from "../../auth/rules.ts";
import { SPEND_BUCKETS, SPEND_KEYS } from "../../orchestrator/budget/spend.ts";
import type { ErrorCode } from "../../platform/errors.ts";

type Schema = Record<string, unknown>;

export interface Operation {
  id: string;
  tag: "tools" | "instances" | "files" | "teams" | "events" | "server" | "login";
  summary: string;
  /** Runs this tool: what is no path parameter of its input is a query parameter, or the body of a POST. */
  tool?: string;
  query?: Record<string, Schema>;
  headers?: Record<string, Schema>;
  body?: { type: string; schema: Schema };
  /** What a success is. Default: 200 with the tool's answer, else any answer of the contract. */
  answer?: { type: string; schema: Schema };
  /** It also answers 201, for what was not there before. */
  creates?: boolean;
  /** Codes that this one may fail with, beside those that any may. */
  errors?: readonly ErrorCode[];
}

const text: Schema = { type: "string" };
const bytes: Schema = { type: "string", format: "binary" };
const flag: Schema = { type: "boolean" };
const anyObject: Schema = { type: "object", additionalProperties: true };
const eventStream = { type: "text/event-stream", schema: text };
const resume = { "Last-Event-ID": { ...text, description: "The id of the last event that is known" } };

const jsonRpc = {
  body: { type: "application/json", schema: { ...anyObject, description: "A JSON-RPC 2.0 message of MCP" } },
  answer: { type: "text/event-stream", schema: text },
};

/** `null`: served, and not part of the API (another standard describes it). */
export const OPERATIONS: {
  readonly [Path in RoutePath]: { readonly [M in keyof (typeof ROUTES)[Path] & Method]: Operation | null };
} = {
  "/": { POST: null },
  "/mcp": { POST: { id: "mcp", tag: "server", summary: "The MCP endpoint (streamable HTTP)", ...jsonRpc } },
  "/tools": {
    GET: {
      id: "listTools",
      tag: "tools",
      summary: "All tools with their schemas",
      answer: { type: "application/json", schema: { $ref: "#/components/schemas/Answer" } },
    },
  },
  "/tools/execute": {
    POST: {
      id: "executeTool",
      tag: "tools",
      summary: "Run a tool that is named in the body",
      headers: { "Idempotency-Key": text },
      body: {
        type: "application/json",
        schema: {
          type: "object",
          properties: { tool: text, arguments: anyObject },
          required: ["tool"],
          additionalProperties: false,
        },
      },
      errors: ["not_found", "conflict", "limit_reached", "budget_exceeded", "too_large", "upstream_error"],
    },
  },
  // One operation a tool is made of it.
  "/tools/:name": { POST: null },
  "/instances": {
    GET: {
      id: "listInstances",
      tag: "instances",
      summary: "All instances, filtered and paged",
      tool: "get_instance_status",
    },
  },
  "/instances/:id": {
    GET: { id: "getInstance", tag: "instances", summary: "How an instance stands", tool: "get_instance_status" },
    DELETE: {
      id: "deleteInstance",
      tag: "instances",
      summary: "Delete a terminated instance for good, conversation and files",
      errors: ["not_found", "conflict"],
    },
  },
  "/instances/:id/health": {
    POST: { id: "checkInstance", tag: "instances", summary: "Look at an instance now", errors: ["not_found"] },
  },
  "/instances/:id/events": {
    GET: {
      id: "followInstance",
      tag: "events",
      summary: "An instance's turns live, as server-sent events: status, text, output, restart",
      headers: resume,
      answer: eventStream,
      errors: ["not_found"],
    },
  },
  "/instances/:id/files": {
    GET: { id: "listFiles", tag: "files", summary: "The files of an instance", tool: "list_instance_files" },
  },
  "/instances/:id/files/*": {
    GET: {
      id: "readFile",
      tag: "files",
      summary: "A file as it is",
      headers: { Range: text, "If-None-Match": text },
      answer: { type: "*/*", schema: bytes },
      errors: ["not_found"],
    },
    PUT: {
      id: "putFile",
      creates: true,
      tag: "files",
      summary: "Create or replace a file",
      headers: { "If-Match": text, "If-None-Match": text },
      body: { type: "application/octet-stream", schema: bytes },
      errors: ["not_found", "conflict", "limit_reached", "too_large"],
    },
    DELETE: {
      id: "deleteFile",
      tag: "files",
      summary: "Delete a file or a folder",
      query: { recursive: flag },
      headers: { "If-Match": text },
      errors: ["not_found", "conflict"],
    },
  },
  "/instances/:id/workspace.zip": {
    GET: {
      id: "downloadWorkspace",
      tag: "files",
      summary: "All files of an instance, as a zip archive",
      answer: { type: "application/zip", schema: bytes },
      errors: ["not_found"],
    },
  },
  "/templates": {
    GET: { id: "listTemplates", tag: "teams", summary: "The team templates" },
    POST: {
      id: "storeTemplate",
      creates: true,
      tag: "teams",
      summary: "Store a team template",
      body: { type: "application/json", schema: anyObject },
      errors: ["conflict", "too_large"],
    },
  },
  "/templates/:name": {
    GET: { id: "getTemplate", tag: "teams", summary: "A team template", errors: ["not_found"] },
    DELETE: { id: "deleteTemplate", tag: "teams", summary: "Delete a stored template", errors: ["not_found"] },
  },
  "/jobs": {
    GET: {
      id: "listJobs",
      tag: "teams",
      summary: "The coordinated tasks, filtered and paged",
      query: { state: text, limit: { type: "integer" }, cursor: text },
    },
    POST: {
      id: "startJob",
      tag: "teams",
      summary: "Start a coordinated task",
      tool: "coordinate_instances",
      headers: { "Idempotency-Key": text },
    },
  },
  "/jobs/:id": {
    GET: { id: "getJob", tag: "teams", summary: "How a coordinated task stands", tool: "get_job_status" },
    DELETE: { id: "deleteJob", tag: "teams", summary: "Delete a coordinated task that is over, for good" },
  },
  "/jobs/:id/cancel": {
    POST: {
      id: "cancelJob",
      tag: "teams",
      summary: "Cancel a coordinated task",
      tool: "cancel_job",
      headers: { "Idempotency-Key": text },
    },
  },
  "/events": {
    GET: {
      id: "followAll",
      tag: "events",
      summary: "The event log of all instances live, as server-sent events",
      query: { instance_id: text },
      headers: resume,
      answer: eventStream,
    },
  },
  "/audit": {
    GET: {
      id: "exportAudit",
      tag: "events",
      summary: "The event log as JSON lines, hash-chained, after a sequence",
      query: { after: { type: "integer", minimum: 0 } },
      answer: { type: "application/x-ndjson", schema: text },
    },
  },
  "/ledger": {
    GET: {
      id: "exportLedger",
      tag: "events",
      summary: "What every model call may cost and did cost, as JSON lines, after an id",
      query: { after: { type: "integer", minimum: 0 } },
      answer: { type: "application/x-ndjson", schema: text },
    },
  },
  "/audit/head": {
    GET: { id: "auditHead", tag: "events", summary: "The newest link of the event log's hash chain: seq and hash" },
  },
  "/webhooks": {
    GET: { id: "listWebhooks", tag: "events", summary: "The webhooks, without their secrets" },
    POST: {
      id: "createWebhook",
      tag: "events",
      summary: "Register a webhook; only this answer has its secret",
      body: {
        type: "application/json",
        schema: {
          type: "object",
          properties: { url: text, events: { type: "array", items: text }, secret: text },
          required: ["url"],
          additionalProperties: false,
        },
      },
      creates: true,
      errors: ["limit_reached", "too_large"],
    },
  },
  "/webhooks/:id": {
    GET: { id: "getWebhook", tag: "events", summary: "A webhook and how its deliveries go", errors: ["not_found"] },
    DELETE: { id: "deleteWebhook", tag: "events", summary: "Delete a webhook", errors: ["not_found"] },
  },
  "/tree": { GET: { id: "getTree", tag: "instances", summary: "Who belongs to whom", tool: "get_instance_tree" } },
  "/questions": { GET: { id: "listQuestions", tag: "instances", summary: "The open questions of all instances" } },
  "/questions/:id": {
    POST: { id: "answerQuestion", tag: "instances", summary: "Answer a question", tool: "answer_question" },
  },
  "/spend": {
    GET: {
      id: "getSpend",
      tag: "server",
      summary: "What was spent when, by whom, at list prices",
      query: {
        bucket: { ...text, enum: SPEND_BUCKETS },
        by: { ...text, enum: SPEND_KEYS },
        from: { ...text, format: "date-time" },
        to: { ...text, format: "date-time" },
      },
    },
  },
  // A WebSocket, which OpenAPI has no words for.
  "/live": { GET: null },
  "/metrics": {
    GET: {
      id: "metrics",
      tag: "server",
      summary: "Figures for Prometheus",
      answer: { type: "text/plain", schema: text },
    },
  },
  "/sign-in": {
    POST: {
      id: "signIn",
      tag: "server",
      summary: "Puts a person's sign-in on record; says whose key it is and what it may do",
    },
  },
  "/health": {
    GET: {
      id: "health",
      tag: "server",
      summary: "Whether the server is alive; with a key, also its figures",
      answer: {
        type: "application/json",
        schema: {
          type: "object",
          properties: { success: flag, status: text, version: text },
          required: ["success", "status", "version"],
          additionalProperties: true,
        },
      },
    },
  },
  "/openapi.json": { GET: null },
  "/docs": { GET: null },
  "/dashboard": { GET: null },
  "/dashboard/*": { GET: null },
  "/favicon.ico": { GET: null },
  "/favicon.svg": { GET: null },
  "/.well-known/oauth-protected-resource": { GET: null },
  "/.well-known/oauth-protected-resource/mcp": { GET: null },
  "/.well-known/oauth-authorization-server": { GET: null },
  "/oauth/register": { POST: null },
  "/oauth/token": { POST: null },
  "/authorize": { GET: null, POST: null },
};
