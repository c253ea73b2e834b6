/**
 * What was spent when, for charts.
 */
import { Hono } from "hono";
import * as z from "zod";
import { SPEND_BUCKETS, SPEND_KEYS } from "../../orchestrator/budget/spend.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import type { RestEnv } from "../hono-env.ts";

const time = z.iso
  .datetime({ offset: true, error: "must be an ISO 8601 time like 2026-11-22T12:00:00Z" })
  .optional()
  .transform((text) => (text === undefined ? null : Date.parse(text)));

const Query = z.strictObject({
  bucket: z.enum(SPEND_BUCKETS).default("hour"),
  by: z.enum(SPEND_KEYS).default("total"),
  from: time,
  to: time,
});

export function createSpend(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/spend", async (c) => {
    const query = Query.safeParse(c.req.query());
    if (!query.success) {
      const [issue] = query.error.issues;
      const field = issue?.path.join(".") || "query";
      throw new MadroxError(
        "invalid_input",
        `${field}: ${issue?.message ?? "can't be read"}. There are bucket (${SPEND_BUCKETS.join(", ")}), by (${SPEND_KEYS.join(", ")}), from and to.`,
        { field },
      );
    }
    const spend = unwrap(await c.get("call").orchestrator.spend(query.data));
    return c.json({
      success: true,
      message: `$${spend.cost.toFixed(4)} in ${spend.starts.length} buckets of one ${spend.bucket}.`,
      ...spend,
    });
  });

  return app;
}
