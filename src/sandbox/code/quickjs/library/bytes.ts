/** Bytes and text. */

/** A byte per character: how bytes travel to the host and back. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** The engine has no encoder of its own; this old pair of functions is native, so it is the fast way. */
export function utf8(text: unknown): Uint8Array {
  return bytesOf(unescape(encodeURIComponent(String(text).toWellFormed())));
}

export class TextEncoder {
  get encoding(): string {
    return "utf-8";
  }

  encode(text: unknown = ""): Uint8Array {
    return utf8(text);
  }
}
