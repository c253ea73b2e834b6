/**
 * What was done and what was paid, whole: the event log, hash-chained (orchestrator/chain.ts), and the ledger, as JSON lines.
 */
import { Hono } from "hono";
import type { RestEnv } from "../hono-env.ts";
import { afterOf, linesResponse } from "./export.ts";

export function createAudit(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/audit", async (c) => {
    const after = afterOf(c.req.query("after"), "seq");
    const { orchestrator } = c.get("call");
    const { seq } = await orchestrator.auditHead();
    const read = async (from: number, upTo: number) => {
      const next = await orchestrator.audit(from, upTo);
      return "key" in next ? next : { lines: next.lines, last: next.last?.seq ?? null };
    };
    return linesResponse(read, c.env.FILES, after, seq);
  });

  app.get("/audit/head", async (c) => {
    const { seq, hash } = await c.get("call").orchestrator.auditHead();
    return c.json({ success: true, message: `The log has ${seq} lines.`, seq, hash });
  });

  app.get("/ledger", async (c) => {
    const after = afterOf(c.req.query("after"), "id");
    const { orchestrator } = c.get("call");
    const end = await orchestrator.ledgerEnd();
    return linesResponse((from, upTo) => orchestrator.ledger(from, upTo), c.env.FILES, after, end);
  });

  return app;
}
