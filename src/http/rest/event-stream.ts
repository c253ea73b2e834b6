/**
 * Live streams as server-sent events: pull by pull from a source that knows where the reader is. A slow reader holds up
 * nobody, and one that comes back goes on where it was.
 */

/** One pull: what there is after a cursor. `end`: nothing more is coming for now, and the reader is sent away. */
export interface Pulled {
  events: { id: string; event: string; data: unknown }[];
  cursor: string;
  end?: boolean;
}

/** How long one pull waits for something to happen, in ms. A comment goes out when nothing did. */
export const PULL_MS = 10_000;
/** When a reader that was sent away comes back by itself, in ms. */
const RETRY_MS = 5_000;

/** A response that streams what `pull` brings, from `cursor` on, until the reader goes away or `pull` says `end`. */
export function eventStream(cursor: string, pull: (cursor: string) => Promise<Pulled>): Response {
  const encoder = new TextEncoder();
  let at = cursor;
  let gone = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
    },
    async pull(controller) {
      const pulled = await pull(at).catch(() => null);
      if (gone) return;
      if (pulled === null) {
        // The source restarted. The reader comes back with its last id and misses nothing.
        controller.close();
        return;
      }
      at = pulled.cursor;
      const text = pulled.events.map(
        ({ id, event, data }) => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
      );
      controller.enqueue(encoder.encode(text.length > 0 ? text.join("") : ": nothing new\n\n"));
      if (pulled.end) controller.close();
    },
    cancel() {
      gone = true;
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  });
}
