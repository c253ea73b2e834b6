/** Events as they happen: the log of a tenant, also page by page and over a WebSocket, and the turns of one instance. */
import * as z from "zod";
import type { OrchestratorApi } from "../../contracts/orchestrator.ts";
import { eventSocket } from "../../contracts/stubs.ts";
import { errorBody, MadroxError, unwrap } from "../../platform/errors.ts";
import { isInstanceId, isJobId } from "../../platform/ids.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import { json } from "../json.ts";
import { query } from "../query.ts";
import { defineRoute, type Operation, type Route } from "../route.ts";
import { eventStream, LONG_POLL_MS } from "./event-stream.ts";

/** Events in one pull of a stream, at most. */
const STREAM_PAGE = 500;

const stream = {
  headers: { "Last-Event-ID": { type: "string", description: "The id of the last event that is known" } },
  success: { type: "text/event-stream", schema: () => ({ type: "string" }) },
} satisfies Partial<Operation>;

const followInstance = defineRoute({
  method: "GET",
  path: "/instances/:id/events",
  access: "read",
  query: query({ after: z.string().optional().describe("The same as Last-Event-ID, which goes before it") }),
  operation: {
    id: "followInstance",
    tag: "events",
    summary: "An instance's turns live, as server-sent events: status, text, output, restart",
    ...stream,
  },
  async handle({ context, request, params: { id }, query: { after } }) {
    const from = request.headers.get("last-event-id") ?? after ?? "0";
    const known = await dispatch(context, "get_instance_status", { instance_id: id });
    if (!known.success) return json(known);
    // A first look, so that a wrong cursor is answered with an error and not with a stream.
    const first = await context.instance(id).follow(from, 0);
    if (!first.ok) return json(errorBody(first.error));
    return eventStream(from, async (cursor) => {
      const { events, resting, ...page } = unwrap(await context.instance(id).follow(cursor, LONG_POLL_MS));
      // An idle instance is not kept awake for readers.
      return { events, cursor: page.cursor, end: resting && events.length === 0 };
    });
  },
});

const followAll = defineRoute({
  method: "GET",
  path: "/events",
  access: "read",
  query: query({
    instance_id: z
      .string()
      .refine((id) => isInstanceId(id) || isJobId(id), "is no id of an instance or a job")
      .optional()
      .describe("Only events of this instance or job"),
    after: z.int().min(0).optional().describe("Of a stream: the same as Last-Event-ID, which goes before it"),
    before: z.int().min(0).optional().describe("Of a page: only events before this seq"),
    limit: z.int().min(1).max(500).optional().describe("Of a page: events in it. Default: 200"),
  }),
  operation: {
    id: "followAll",
    tag: "events",
    summary: "The event log of all instances live, as server-sent events",
    description:
      "The event log of all instances live, as server-sent events. With Accept: application/json it is a page of the log instead, the newest first.",
    ...stream,
  },
  async handle({ context: { orchestrator }, request, query: { instance_id = null, after, before, limit } }) {
    const accept = request.headers.get("accept") ?? "";
    if (accept.includes("application/json") && !accept.includes("text/event-stream")) {
      if (after !== undefined) throw misplaced("after", "a stream, and this asks for a page: use before");
      const page = await orchestrator.eventsBefore({ before: before ?? null, limit: limit ?? 200, instance_id });
      return json({ success: true, message: `${page.events.length} events.`, ...page });
    }
    if (before !== undefined) throw misplaced("before", "a page: ask for one with Accept: application/json");
    if (limit !== undefined) throw misplaced("limit", "a page: ask for one with Accept: application/json");
    return follow(orchestrator, request.headers.get("last-event-id") ?? String(after ?? 0), instance_id);
  },
});

function follow(orchestrator: OrchestratorApi, from: string, instanceId: string | null): Response {
  if (!/^\d{1,15}$/.test(from)) {
    throw new MadroxError(
      "invalid_input",
      "That is no event id of this stream: leave it out, or take the id of an event that it sent.",
    );
  }
  return eventStream(from, async (cursor) => {
    const page = await orchestrator.events({
      after: Number(cursor),
      instance_id: instanceId,
      limit: STREAM_PAGE,
      waitMs: LONG_POLL_MS,
    });
    return {
      events: page.events.map((event) => ({ id: String(event.seq), event: event.kind, data: event })),
      cursor: String(page.events.at(-1)?.seq ?? cursor),
    };
  });
}

function misplaced(field: string, ofWhat: string): MadroxError {
  return new MadroxError("invalid_input", `${field} is of ${ofWhat}.`, { field });
}

/** The same log as a WebSocket. Its messages: orchestrator/delivery. OpenAPI has no words for it. */
const live = defineRoute({
  method: "GET",
  path: "/live",
  access: "read",
  query: query({ _pk: z.string().optional().describe("A name that the agents library gives to each connection") }),
  operation: null,
  handle({ context, env, request }) {
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket") {
      return eventSocket(env, context.principal.tenant);
    }
    throw new MadroxError(
      "invalid_input",
      "This is a WebSocket: connect with ws:// or wss://. GET /events has the same as server-sent events.",
    );
  },
});

export const EVENT_ROUTES: readonly Route[] = [followInstance, followAll, live];
