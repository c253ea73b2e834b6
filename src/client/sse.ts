/**
 * Server-sent events out of a body, as the WHATWG specification has them. By hand, because the client depends on nothing: a
 * browser loads it as it is.
 */

/** One frame. A frame without data is not dispatched. */
export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/**
 * The frames of a body, whole ones only: what a broken connection cut in two is left out, and comes again. `heard` is called
 * for every piece that arrives, comments too. Ends with the body, or with `signal`, whatever the body makes of that.
 */
export async function* framesOf(
  body: ReadableStream<Uint8Array>,
  heard: () => void,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  const reader = body.getReader();
  const leave = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", leave);
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      text += decoder.decode(value, { stream: true });
      // A CR at the end may be half of a CRLF.
      const held = text.endsWith("\r") ? "\r" : "";
      const blocks = text
        .slice(0, text.length - held.length)
        .replace(/\r\n?/g, "\n")
        .split("\n\n");
      text = (blocks.pop() ?? "") + held;
      for (const block of blocks) {
        const frame = frameOf(block);
        if (frame) yield frame;
      }
    }
  } finally {
    signal.removeEventListener("abort", leave);
    await reader.cancel().catch(() => undefined);
  }
}

function frameOf(block: string): Frame | null {
  const frame: Frame = { id: null, event: "message", data: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") frame.event = value;
    else if (field === "id" && !value.includes("\0")) frame.id = value;
  }
  return data.length === 0 ? null : { ...frame, data: data.join("\n") };
}
