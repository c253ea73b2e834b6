/** The server-sent events of a message, and everything that can happen to them on the way. */
import type { Fault, Script } from "./script.ts";
import { textTokens } from "./tokens.ts";
import { errorBody, type Json, messageBody, type Reply } from "./wire.ts";

/** Waits so many milliseconds; rejects with an AbortError, and holds no timer any more, when the signal is aborted. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

/** How a message's way over the wire ended. */
export type StreamOutcome = "message_stop" | "error" | "cut" | "aborted";

/**
 * A piece of the stream. The last one says how the stream ends, so that a reader who leaves right after it is not
 * "gone".
 */
export interface Frame {
  readonly text: string;
  readonly last?: StreamOutcome;
}

/** How events are cut into bytes. */
export interface WireOptions {
  /** Split the bytes into pieces of at most this size, wherever that falls: within a line, within a character. */
  readonly chunkBytes?: number;
  /** End lines with CRLF. */
  readonly crlf?: boolean;
}

/** How fast a message is sent. */
export interface Pace {
  /** Wait after each delta, in milliseconds. */
  readonly chunkDelayMs: number;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
}

/** Characters in one delta, unless a script says otherwise. */
const CHUNK_CHARS = 48;

/** Time between the pings of a stalled stream, unless a script says otherwise. */
const PING_MS = 10_000;

/** The longest wait that timers can express (2^31 - 1 ms). */
const FOREVER_MS = 2 ** 31 - 1;

/** The error that an aborted fetch throws. */
export function abortError(): DOMException {
  return new DOMException("This operation was aborted", "AbortError");
}

/** The error with which a broken connection shows itself. */
export class ConnectionReset extends TypeError {
  constructor() {
    super("terminated: the connection was reset");
  }
}

/** A `Sleep` over the runtime's timers. */
export const realSleep: Sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError());
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortError());
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });

/**
 * The events of a message as SSE text, piece by piece; after a piece marked `last` nothing follows. Throws
 * `ConnectionReset` for a `reset` fault, and whatever `sleep` throws.
 */
export async function* events(
  reply: Reply,
  script: Script,
  pace: Pace,
  requestId: string,
): AsyncGenerator<Frame, void> {
  const stop = stopPoint(script.fault);
  let chars = 0;
  let blocks = 0;
  const struck = () => stop !== null && (chars >= stop.chars || blocks >= stop.blocks);

  yield { text: event("message_start", { message: messageBody(reply, true) }) + event("ping", {}) };
  if (struck()) return yield* strike(script.fault, pace, requestId);

  const size = Math.max(1, script.chunkChars ?? CHUNK_CHARS);
  for (const [index, block] of reply.content.entries()) {
    yield { text: event("content_block_start", { index, content_block: opened(block) }) };
    for (const [type, key, text] of deltas(block, reply.inputText.get(index))) {
      let at = 0;
      do {
        const whole = key === "signature";
        const end = whole ? text.length : pieceEnd(text, at, Math.min(size, stop ? stop.chars - chars : size));
        const piece = text.slice(at, end);
        yield { text: event("content_block_delta", { index, delta: { type, [key]: piece } }) };
        at = end;
        if (!whole) {
          chars += piece.length;
          await pause(script, pace, piece);
          if (struck()) return yield* strike(script.fault, pace, requestId);
        }
      } while (at < text.length);
    }
    yield { text: event("content_block_stop", { index }) };
    blocks += 1;
    if (struck()) return yield* strike(script.fault, pace, requestId);
  }
  if (stop) return yield* strike(script.fault, pace, requestId);

  const { stopReason, stopSequence, stopDetails, usage } = reply;
  const { cache_creation: _, service_tier: __, speed: ___, inference_geo: ____, ...cumulative } = usage;
  const delta = event("message_delta", {
    delta: { stop_reason: stopReason, stop_sequence: stopSequence, stop_details: stopDetails, container: null },
    usage: cumulative,
  });
  yield { text: delta + event("message_stop", {}), last: "message_stop" };
}

/**
 * Puts events on the wire. `onEnd` is called exactly once. Going away (cancel, or `signal`) ends every wait of `source`
 * through `abort`.
 */
export function eventStream(
  source: AsyncGenerator<Frame, void>,
  wire: WireOptions,
  abort: AbortController,
  onEnd: (outcome: StreamOutcome) => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let ended = false;
  const end = (outcome: StreamOutcome) => {
    if (ended) return;
    ended = true;
    onEnd(outcome);
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      // A caller that aborts its fetch sees its body fail at once, whatever the source is waiting for.
      abort.signal.addEventListener("abort", () => {
        if (ended) return;
        end("aborted");
        controller.error(abortError());
      });
    },
    async pull(controller) {
      try {
        const { value: frame } = await source.next();
        if (ended) return;
        if (!frame) throw new Error("the stream went on after its last frame");
        const bytes = encoder.encode(wire.crlf ? frame.text.replaceAll("\n", "\r\n") : frame.text);
        const size = wire.chunkBytes ?? bytes.length;
        // Before the bytes: a reader that got the last of them may be gone by the next line.
        if (frame.last) end(frame.last);
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        if (frame.last) controller.close();
      } catch (error) {
        if (ended) return;
        end(error instanceof ConnectionReset ? "cut" : abort.signal.aborted ? "aborted" : "error");
        controller.error(error);
      }
    },
    async cancel() {
      end("aborted");
      abort.abort();
    },
  });
}

/** One event, with its type in `event:` and in the data. */
function event(type: string, data: Json): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

/** A block as `content_block_start` shows it: empty, to be filled by deltas. */
function opened(block: Json): Json {
  if (block.type === "text") return { ...block, text: "" };
  if (block.type === "thinking") return { ...block, thinking: "", signature: "" };
  if (block.type === "tool_use" || block.type === "server_tool_use") return { ...block, input: {} };
  return block;
}

type Delta = readonly [type: string, key: string, text: string];

/** What has to be sent to fill a block. */
function deltas(block: Json, inputText: string | undefined): readonly Delta[] {
  if (block.type === "text") return [["text_delta", "text", String(block.text)]];
  if (block.type === "thinking") {
    const signature: Delta = ["signature_delta", "signature", String(block.signature)];
    return block.thinking === "" ? [signature] : [["thinking_delta", "thinking", String(block.thinking)], signature];
  }
  if (block.type !== "tool_use" && block.type !== "server_tool_use") return [];
  const input = inputText ?? JSON.stringify(block.input ?? {});
  return [
    ["input_json_delta", "partial_json", ""],
    ["input_json_delta", "partial_json", input],
  ];
}

/** The end of a piece of at most `size` characters, moved by one where it would part a surrogate pair. */
function pieceEnd(text: string, at: number, size: number): number {
  const end = Math.min(text.length, at + Math.max(1, size));
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit <= 0xdbff && end < text.length ? end + 1 : end;
}

async function pause(script: Script, pace: Pace, piece: string): Promise<void> {
  const ms = script.tokensPerSecond
    ? (textTokens(piece) / script.tokensPerSecond) * 1000
    : (script.chunkDelayMs ?? pace.chunkDelayMs);
  if (ms > 0) await pace.sleep(ms, pace.signal);
}

/** Where a stream breaks off; null when it doesn't. */
function stopPoint(fault: Fault | undefined): { chars: number; blocks: number } | null {
  if (!fault || !("afterChars" in fault || ["error_event", "eof", "stall", "reset"].includes(fault.kind))) return null;
  const { afterChars, afterBlocks } = fault as { afterChars?: number; afterBlocks?: number };
  const never = Number.POSITIVE_INFINITY;
  return { chars: afterChars ?? (afterBlocks === undefined ? 0 : never), blocks: afterBlocks ?? never };
}

async function* strike(fault: Fault | undefined, pace: Pace, requestId: string): AsyncGenerator<Frame, void> {
  switch (fault?.kind) {
    case "error_event": {
      const data = JSON.stringify(errorBody(fault.type, fault.message, requestId));
      yield { text: `event: error\ndata: ${data}\n\n`, last: "error" };
      return;
    }
    case "stall":
      for (;;) {
        await pace.sleep(fault.pings ? (fault.pingMs ?? PING_MS) : FOREVER_MS, pace.signal);
        if (fault.pings) yield { text: event("ping", {}) };
      }
    case "reset":
      throw new ConnectionReset();
    default:
      yield { text: "", last: "cut" };
  }
}
