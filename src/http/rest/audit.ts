/**
 * The event log, hash-chained (orchestrator/archive), and the ledger, both whole, as JSON lines.
 */
import * as z from "zod";
import { json } from "../json.ts";
import { query } from "../query.ts";
import { defineRoute, type Route, type Success } from "../route.ts";
import { linesResponse } from "./log-export.ts";

const after = (what: string) =>
  query({ after: z.int().min(0).default(0).describe(`The ${what} of the last line that you have`) });

const lines: Success = { type: "application/x-ndjson", schema: () => ({ type: "string" }) };

const exportAudit = defineRoute({
  method: "GET",
  path: "/audit",
  access: "read",
  query: after("seq"),
  operation: {
    id: "exportAudit",
    tag: "events",
    summary: "The event log as JSON lines, hash-chained, after a sequence",
    success: lines,
  },
  async handle({ context: { orchestrator }, env, query }) {
    const { seq } = await orchestrator.auditHead();
    const read = async (from: number, upTo: number) => {
      const next = await orchestrator.audit(from, upTo);
      return "key" in next ? next : { lines: next.lines, last: next.last?.seq ?? null };
    };
    return linesResponse(read, env.FILES, query.after, seq);
  },
});

const auditHead = defineRoute({
  method: "GET",
  path: "/audit/head",
  access: "read",
  operation: {
    id: "auditHead",
    tag: "events",
    summary: "The newest link of the event log's hash chain: seq and hash",
  },
  async handle({ context }) {
    const { seq, hash } = await context.orchestrator.auditHead();
    return json({ success: true, message: `The log has ${seq} lines.`, seq, hash });
  },
});

const exportLedger = defineRoute({
  method: "GET",
  path: "/ledger",
  access: "read",
  query: after("id"),
  operation: {
    id: "exportLedger",
    tag: "events",
    summary: "What every model call may cost and did cost, as JSON lines, after an id",
    success: lines,
  },
  async handle({ context: { orchestrator }, env, query }) {
    const end = await orchestrator.ledgerEnd();
    return linesResponse((from, upTo) => orchestrator.ledger(from, upTo), env.FILES, query.after, end);
  },
});

export const AUDIT_ROUTES: readonly Route[] = [exportAudit, auditHead, exportLedger];
