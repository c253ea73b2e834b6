/**
 * The routes of webhooks. A webhook's secret is in the answer that registers it and in no other.
 */
import { Hono } from "hono";
import * as z from "zod";
import { DEFAULT_EVENTS, EVENT_FILTER } from "../../orchestrator/delivery/webhooks.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { invalidInput } from "../../platform/invalid-input.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import type { RestEnv } from "../hono-env.ts";
import { bodyOf, json, limited } from "../json.ts";

const WebhookBody = z.strictObject({
  url: z.string(),
  events: z
    .array(z.string().regex(EVENT_FILTER, "is a kind of event like message.completed, a family like job.*, or *"))
    .min(1)
    .max(50)
    .default([...DEFAULT_EVENTS]),
  secret: z.string().max(200).optional(),
});

export function createWebhooks(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.post("/webhooks", limited, async (c) => {
    const call = c.get("call");
    const { secret: given = null, ...request } = parsed(await bodyOf(c.req.raw));
    const { webhook, secret } = await recorded(call, "create_webhook", null, async (audit) =>
      unwrap(await call.orchestrator.addWebhook({ ...request, secret: given }, audit)),
    );
    const message = "Registered. Note the secret down: it verifies the signatures, and is not shown again.";
    return json({ success: true, message, ...webhook, secret }, 201);
  });

  app.get("/webhooks", async (c) => {
    const webhooks = await c.get("call").orchestrator.webhooks();
    return json({ success: true, message: `${webhooks.length} webhooks.`, webhooks });
  });

  app.get("/webhooks/:id", async (c) => {
    const id = c.req.param("id");
    const webhook = (await c.get("call").orchestrator.webhooks()).find(({ webhook_id }) => webhook_id === id);
    if (!webhook) throw unknown(id);
    return json({ success: true, message: `The webhook is ${webhook.state}.`, ...webhook });
  });

  app.delete("/webhooks/:id", async (c) => {
    const call = c.get("call");
    const id = c.req.param("id");
    await recorded(call, "delete_webhook", id, async (audit) => {
      if (!(await call.orchestrator.removeWebhook(id, audit))) throw unknown(id);
    });
    return json({ success: true, message: "Deleted. Nothing more is sent to it.", webhook_id: id });
  });

  return app;
}

/** Throws `invalid_input`, naming the fields. */
function parsed(body: Record<string, unknown>): z.output<typeof WebhookBody> {
  const result = WebhookBody.safeParse(body);
  if (result.success) return result.data;
  throw invalidInput(result.error, {
    refusal: "That is no webhook.",
    whole: "body",
    unknown: "is no field of a webhook",
  });
}

function unknown(id: string): MadroxError {
  return new MadroxError(
    "not_found",
    `There is no webhook ${id.slice(0, 60).toWellFormed()}. GET /webhooks lists them.`,
  );
}
