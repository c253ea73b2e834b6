/**
 * The audit export: the event log as JSON lines, hash-chained (orchestrator/chain.ts), streamed from R2 and from the Orchestrator
 * as if it were one.
 */
import { Hono } from "hono";
import { MadroxError } from "../errors.ts";
import type { OrchestratorApi } from "../orchestrator/api.ts";
import type { RestEnv } from "./rest.ts";

export function createAudit(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/audit", async (c) => {
    const after = c.req.query("after") ?? "0";
    if (!/^\d{1,15}$/.test(after)) {
      throw new MadroxError("invalid_input", "after is the seq of the last line that you have, or left out.", {
        field: "after",
      });
    }
    const { orchestrator } = c.get("call");
    const head = await orchestrator.auditHead();
    const body = streamOf(linesOf(orchestrator, c.env.FILES, Number(after), head.seq));
    return new Response(body, {
      headers: { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-store" },
    });
  });

  app.get("/audit/head", async (c) => {
    const { seq, hash } = await c.get("call").orchestrator.auditHead();
    return c.json({ success: true, message: `The log has ${seq} lines.`, seq, hash });
  });

  return app;
}

/** The export after a sequence, up to another, in pieces. Throws when a segment is not in R2: the reader must not take it for the end. */
async function* linesOf(
  orchestrator: OrchestratorApi,
  bucket: R2Bucket | undefined,
  after: number,
  upTo: number,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (let at = after; at < upTo; ) {
    const next = await orchestrator.audit(at, upTo);
    if ("key" in next) {
      const object = await bucket?.get(next.key);
      if (!object) throw new Error("A segment of the event log is not in R2.");
      // Only the first one can begin with lines that the reader has.
      if (at < next.first_seq) yield* object.body;
      else yield encoder.encode(withoutFirst(await object.text(), at - next.first_seq + 1));
      at = next.last_seq;
    } else {
      if (next.last === null) return;
      yield encoder.encode(next.lines);
      at = next.last.seq;
    }
  }
}

function withoutFirst(text: string, lines: number): string {
  let at = 0;
  for (let i = 0; i < lines; i++) at = text.indexOf("\n", at) + 1;
  return text.slice(at);
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}
