/**
 * JSON from outside, parsed within a bound of memory. Few bytes can stand for much: 7.5 MB of `[],[],...` take 300 MB once they are
 * parsed and looked at. So values and nesting are counted while the bytes arrive, before anything is parsed, and a text that has too
 * many is refused unread. With all bounds kept, parsing takes at most some 64 MB for 8 MiB of text: the text twice, its strings, and 150 bytes
 * per value at most (measured in V8, over arrays, objects, and keys of all kinds).
 */
import { MadroxError } from "./errors.ts";

/** Values in a text, at most, counted as commas and opening brackets. */
export const MAX_JSON_VALUES = 50_000;
/** Levels of nesting, at most: code that walks a value by recursion needs stack for each. */
export const MAX_JSON_DEPTH = 256;

/**
 * The value of a JSON text in UTF-8, with a byte order mark or without. Throws `too_large` for too many bytes or values,
 * `invalid_input` for a text that is nested too deep or is no UTF-8, `SyntaxError` for one that is no JSON.
 */
export async function readJson(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<unknown> {
  const scan = scanner();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const decode = (chunk?: Uint8Array) => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    } catch {
      problem ??= new MadroxError("invalid_input", "The body is no valid UTF-8, and JSON has to be. Nothing was done.");
      return "";
    }
  };
  let bytes = 0;
  let text = "";
  let problem: MadroxError | null = null;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooManyBytes(maxBytes);
    problem ??= scan(chunk);
    // The rest is read all the same: a client that is still sending would lose the connection, and with it the answer.
    text = problem ? "" : text + decode(chunk);
  }
  if (!problem) text += decode();
  if (problem) throw problem;
  return JSON.parse(text) as unknown;
}

export function tooManyBytes(limit: number): MadroxError {
  return new MadroxError("too_large", `The request is larger than ${limit} bytes.`, { limit_bytes: limit });
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Counts through one text, chunk by chunk, and returns what it has too much of. In UTF-8 no byte of another character is one of those that matter. */
function scanner(): (chunk: Uint8Array) => MadroxError | null {
  let values = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;
  return (chunk) => {
    for (const byte of chunk) {
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) {
        inString = true;
      } else if (byte === COMMA) {
        values++;
      } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        values++;
        depth++;
        if (depth > MAX_JSON_DEPTH) return tooDeep();
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        depth--;
      }
      if (values > MAX_JSON_VALUES) return tooManyValues();
    }
    return null;
  };
}

function tooDeep(): MadroxError {
  const message = `The JSON is nested deeper than ${MAX_JSON_DEPTH} levels.`;
  return new MadroxError("invalid_input", message, { limit_depth: MAX_JSON_DEPTH });
}

function tooManyValues(): MadroxError {
  const message = `The JSON has more than ${MAX_JSON_VALUES} values. Send less at once.`;
  return new MadroxError("too_large", message, { limit_values: MAX_JSON_VALUES });
}
