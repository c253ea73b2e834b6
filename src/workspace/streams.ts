/** Bytes on their way in and out, in pieces that fit the store's own. */

/** The store's own piece: whole ones are written once and never rewritten. */
export const CHUNK_BYTES = 512 * 1024;

/** A stream's bytes in pieces of exactly `CHUNK_BYTES`, the last one smaller. Cancels the stream when left early. */
export async function* inChunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunk = new Uint8Array(CHUNK_BYTES);
  let filled = 0;
  for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
    for (let at = 0; at < piece.byteLength; ) {
      const part = piece.subarray(at, at + CHUNK_BYTES - filled);
      chunk.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
      if (filled < CHUNK_BYTES) continue;
      yield chunk;
      chunk = new Uint8Array(CHUNK_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

/** A byte stream that asks for the next piece only when it is read: it crosses RPC, and holds one piece at a time. */
export function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      for (;;) {
        const { value, done } = await chunks.next();
        if (done) {
          controller.close();
          return controller.byobRequest?.respond(0);
        }
        // A byte stream takes no empty piece.
        if (value.byteLength === 0) continue;
        return controller.enqueue(value);
      }
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}
