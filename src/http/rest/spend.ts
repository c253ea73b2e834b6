/** What was spent when, for charts. */
import * as z from "zod";
import { SPEND_BUCKETS, SPEND_KEYS } from "../../orchestrator/budget/spend.ts";
import { unwrap } from "../../platform/errors.ts";
import { json } from "../json.ts";
import { query } from "../query.ts";
import { defineRoute, type Route } from "../route.ts";

const time = z.iso
  .datetime({ offset: true, error: "must be an ISO 8601 time like 2026-11-22T12:00:00Z" })
  .optional()
  .transform((text) => (text === undefined ? null : Date.parse(text)));

const getSpend = defineRoute({
  method: "GET",
  path: "/spend",
  access: "read",
  query: query({
    bucket: z.enum(SPEND_BUCKETS).default("hour"),
    by: z.enum(SPEND_KEYS).default("total"),
    from: time,
    to: time,
  }),
  operation: { id: "getSpend", tag: "server", summary: "What was spent when, by whom, at list prices" },
  async handle({ context, query }) {
    const spend = unwrap(await context.orchestrator.spend(query));
    return json({
      success: true,
      message: `$${spend.cost.toFixed(4)} in ${spend.starts.length} buckets of one ${spend.bucket}.`,
      ...spend,
    });
  },
});

export const SPEND_ROUTES: readonly Route[] = [getSpend];
