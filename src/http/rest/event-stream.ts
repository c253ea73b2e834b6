/**
 * Server-sent events, pulled page by page from a source by cursor. A slow reader delays only itself: a page is pulled when the one
 * before it is on its way, and never ahead. One that reconnects continues where it was.
 */

/** The events after a cursor. `end`: no more are expected for now, so the stream ends and the reader reconnects later. */
export interface EventPage {
  events: { id: string; event: string; data: unknown }[];
  cursor: string;
  end?: boolean;
}

/** How long a source waits for an event, in ms. A comment is sent when there was none. */
export const LONG_POLL_MS = 10_000;
/** When a reader reconnects after the end of a stream, in ms. */
const RETRY_MS = 5_000;

/** A response that streams the pages that `pull` returns, from `cursor` on, until the reader leaves or a page has `end`. */
export function eventStream(cursor: string, pull: (cursor: string) => Promise<EventPage>): Response {
  const encoder = new TextEncoder();
  let at = cursor;
  let gone = false;
  const source: UnderlyingSource<Uint8Array> = {
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
    },
    async pull(controller) {
      const pulled = await pull(at).catch(() => null);
      if (gone) return;
      if (pulled === null) {
        // The source restarted. The reader reconnects with its last id and misses nothing.
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
  };
  // Nothing is made in advance: who does not read costs the one page that was asked for.
  return new Response(new ReadableStream(source, { highWaterMark: 0 }), {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  });
}
