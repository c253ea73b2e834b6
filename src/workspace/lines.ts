/** Text, line by line, of files that may be larger than memory. */

import type { LineRange, Lines } from "../contracts/workspace.ts";
import { MadroxError } from "../platform/errors.ts";

/** A file that is edited is held in memory several times over. */
export const MAX_EDIT_BYTES = 5 * 1024 * 1024;

/** Characters of one answer, at most: about 20,000 tokens. */
const MAX_ANSWER_CHARACTERS = 60_000;

/** Characters of a line that are held at once; what is longer is handed on in such pieces. */
const MAX_LINE_CHARACTERS = 1_000_000;

/** The text of bytes. Throws `conflict` when they are no UTF-8 text. */
export function decoded(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw binary(path);
  }
}

export function binary(path: string): MadroxError {
  return new MadroxError("conflict", `${path} is no UTF-8 text. Ask for it as base64, or write it anew.`, { path });
}

/** A piece of a line with its number (from 1); `more` when the same line goes on in the next piece. */
export interface LinePiece {
  line: number;
  text: string;
  more: boolean;
}

/** The lines of a text, without their ends. Throws `conflict` when it is none. */
export async function* linePieces(path: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<LinePiece> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let rest = "";
  let line = 1;
  const decode = (bytes?: Uint8Array) => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw binary(path);
    }
  };
  for await (const chunk of chunks) {
    const parts = (rest + decode(chunk)).split("\n");
    rest = parts.pop() ?? "";
    for (const text of parts) yield { line: line++, text, more: false };
    if (rest.length > MAX_LINE_CHARACTERS) {
      yield { line, text: rest, more: true };
      rest = "";
    }
  }
  rest += decode();
  if (rest !== "") yield { line, text: rest, more: false };
}

/** Lines from a place on, as many as fit into an answer, and where to go on. */
export async function linesFrom(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  range: LineRange,
): Promise<Pick<Lines, "text" | "first" | "last" | "next">> {
  const taken: string[] = [];
  let room = MAX_ANSWER_CHARACTERS;
  let last = range.start - 1;
  let column = 0;
  const answer = (next: Lines["next"]) => ({ text: taken.join("\n"), first: range.start, last, next });
  for await (const piece of linePieces(path, chunks)) {
    const from = column;
    column = piece.more ? column + piece.text.length : 0;
    if (piece.line < range.start) continue;
    if (piece.line >= range.start + range.max) return answer({ line: piece.line, column: 0 });
    const skip = piece.line === range.start ? Math.max(0, range.column - from) : 0;
    if (skip > piece.text.length) continue;
    const text = piece.text.slice(skip);
    if (text.length > room) {
      // A whole line that only needs a fresh answer waits for that; one that fits no answer is cut.
      if (taken.length > 0) return answer({ line: piece.line, column: 0 });
      taken.push(text.slice(0, room).toWellFormed());
      last = piece.line;
      return answer({ line: piece.line, column: from + skip + room });
    }
    if (from > 0 && piece.line === last && taken.length > 0) taken[taken.length - 1] += text;
    else taken.push(text);
    room -= text.length + 1;
    last = piece.line;
  }
  return answer(null);
}
