/**
 * A log as JSON lines, streamed from R2 and from the Orchestrator as if it were one.
 */

import type { ArchivedRun } from "../../contracts/orchestrator.ts";
import { MadroxError } from "../../platform/errors.ts";

/** Lines that are still in the Orchestrator, and the number of the last one; null: there are none. */
export interface Lines {
  lines: string;
  last: number | null;
}

/** The number of the last line that a reader has. Throws `invalid_input`. */
export function afterOf(text: string | undefined, what: string): number {
  if (text === undefined) return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new MadroxError("invalid_input", `after is the ${what} of the last line that you have, or left out.`, {
    field: "after",
  });
}

/** The lines after a number, up to another. `read` gives what comes next: a segment in R2, or lines. */
export function linesResponse(
  read: (after: number, upTo: number) => Promise<ArchivedRun | Lines>,
  bucket: R2Bucket | undefined,
  after: number,
  upTo: number,
): Response {
  return new Response(streamOf(linesOf(read, bucket, after, upTo)), {
    headers: { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-store" },
  });
}

/** Throws when a segment is not in R2: the reader must not take it for the end. */
async function* linesOf(
  read: (after: number, upTo: number) => Promise<ArchivedRun | Lines>,
  bucket: R2Bucket | undefined,
  after: number,
  upTo: number,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (let at = after; at < upTo; ) {
    const next = await read(at, upTo);
    if ("key" in next) {
      const object = await bucket?.get(next.key);
      if (!object) throw new Error("A segment of the log is not in R2.");
      // Only the first one can begin with lines that the reader has.
      if (at < next.first_seq) yield* object.body;
      else yield encoder.encode(withoutFirst(await object.text(), at - next.first_seq + 1));
      at = next.last_seq;
    } else {
      if (next.last === null) return;
      yield encoder.encode(next.lines);
      at = next.last;
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
