/** Files as text in JSON, both ways. */
import { Buffer } from "node:buffer";
import { MadroxError } from "../platform/errors.ts";

export type Encoding = "utf-8" | "base64";

/** The bytes that a text stands for. Throws `invalid_input` for what is no base64, or no valid Unicode. */
export function bytesOfContent(content: string, encoding: Encoding): Uint8Array {
  if (encoding === "utf-8") {
    if (content.isWellFormed()) return new TextEncoder().encode(content);
    throw new MadroxError(
      "invalid_input",
      "content is no valid Unicode (it holds a lone surrogate). Send it as base64.",
      {
        field: "content",
      },
    );
  }
  const compact = content.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.length % 4 !== 0) {
    throw new MadroxError("invalid_input", "content is no base64 (RFC 4648, with padding).", { field: "content" });
  }
  return new Uint8Array(Buffer.from(compact, "base64"));
}

/**
 * Bytes as an answer carries them: text where they are UTF-8, unless base64 was asked for. A character that is cut at the
 * end is left for the next piece. Throws `invalid_input` when text was asked for and there is none.
 */
export function contentOfBytes(
  bytes: Uint8Array,
  encoding: Encoding | undefined,
  atEnd: boolean,
): { content: string; encoding: Encoding; length: number } {
  if (encoding !== "base64") {
    const whole = atEnd ? bytes : bytes.subarray(0, bytes.length - cutCharacter(bytes));
    try {
      const content = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(whole);
      return { content, encoding: "utf-8", length: whole.length };
    } catch {
      if (encoding === "utf-8") {
        throw new MadroxError("invalid_input", "These bytes are no UTF-8 text. Ask for them with encoding base64.", {
          field: "encoding",
        });
      }
    }
  }
  const { buffer, byteOffset, byteLength } = bytes;
  const content = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64");
  return { content, encoding: "base64", length: bytes.length };
}

/** How many bytes at the end belong to a character that is not whole. */
function cutCharacter(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}
