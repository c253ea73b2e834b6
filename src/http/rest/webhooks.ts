/** Webhooks. A webhook's secret is in the answer that registers it and in no other. */
import * as z from "zod";
import { DEFAULT_EVENTS, EVENT_FILTER } from "../../orchestrator/delivery/webhooks.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import { json } from "../json.ts";
import { jsonBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";

const WebhookBody = z.strictObject({
  url: z.string(),
  events: z
    .array(z.string().regex(EVENT_FILTER, "is a kind of event like message.completed, a family like job.*, or *"))
    .min(1)
    .max(50)
    .default([...DEFAULT_EVENTS]),
  secret: z.string().max(200).optional(),
});

const listWebhooks = defineRoute({
  method: "GET",
  path: "/webhooks",
  access: "admin",
  operation: { id: "listWebhooks", tag: "events", summary: "The webhooks, without their secrets" },
  async handle({ context }) {
    const webhooks = await context.orchestrator.webhooks();
    return json({ success: true, message: `${webhooks.length} webhooks.`, webhooks });
  },
});

const createWebhook = defineRoute({
  method: "POST",
  path: "/webhooks",
  access: "admin",
  body: jsonBody(WebhookBody),
  operation: {
    id: "createWebhook",
    tag: "events",
    summary: "Register a webhook; only this answer has its secret",
    success: { statuses: [201] },
    errors: ["limit_reached"],
  },
  async handle({ context, body: { secret: given = null, ...request } }) {
    const { webhook, secret } = await recorded(context, "create_webhook", null, async (audit) =>
      unwrap(await context.orchestrator.addWebhook({ ...request, secret: given }, audit)),
    );
    const message = "Registered. Note the secret down: it verifies the signatures, and is not shown again.";
    return json({ success: true, message, ...webhook, secret }, 201);
  },
});

const getWebhook = defineRoute({
  method: "GET",
  path: "/webhooks/:id",
  access: "admin",
  operation: { id: "getWebhook", tag: "events", summary: "A webhook and how its deliveries go" },
  async handle({ context, params: { id } }) {
    const webhook = (await context.orchestrator.webhooks()).find(({ webhook_id }) => webhook_id === id);
    if (!webhook) throw unknown(id);
    return json({ success: true, message: `The webhook is ${webhook.state}.`, ...webhook });
  },
});

const deleteWebhook = defineRoute({
  method: "DELETE",
  path: "/webhooks/:id",
  access: "admin",
  operation: { id: "deleteWebhook", tag: "events", summary: "Delete a webhook" },
  async handle({ context, params: { id } }) {
    await recorded(context, "delete_webhook", id, async (audit) => {
      if (!(await context.orchestrator.removeWebhook(id, audit))) throw unknown(id);
    });
    return json({ success: true, message: "Deleted. Nothing more is sent to it.", webhook_id: id });
  },
});

function unknown(id: string): MadroxError {
  return new MadroxError(
    "not_found",
    `There is no webhook ${id.slice(0, 60).toWellFormed()}. GET /webhooks lists them.`,
  );
}

export const WEBHOOK_ROUTES: readonly Route[] = [listWebhooks, createWebhook, getWebhook, deleteWebhook];
