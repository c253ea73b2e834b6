import { describe, expect, it } from "vitest";
import { withInvisibleEscaped } from "../../src/platform/visible-text.ts";

const CHARACTERS: [name: string, codePoint: number][] = [
  ["a delete", 0x7f],
  ["a next line (C1)", 0x85],
  ["a no-break space", 0xa0],
  ["a soft hyphen", 0xad],
  ["a combining grapheme joiner", 0x34f],
  ["an Arabic letter mark", 0x61c],
  ["a Hangul filler", 0x115f],
  ["an en quad", 0x2000],
  ["a zero-width space", 0x200b],
  ["a zero-width non-joiner", 0x200c],
  ["a zero-width joiner", 0x200d],
  ["a left-to-right mark", 0x200e],
  ["a right-to-left mark", 0x200f],
  ["a line separator", 0x2028],
  ["a left-to-right embedding", 0x202a],
  ["a right-to-left override", 0x202e],
  ["a word joiner", 0x2060],
  ["an invisible times", 0x2062],
  ["a left-to-right isolate", 0x2066],
  ["a pop directional isolate", 0x2069],
  ["a blank Braille pattern", 0x2800],
  ["an ideographic space", 0x3000],
  ["a Hangul filler (compatibility)", 0x3164],
  ["a variation selector", 0xfe0f],
  ["a byte order mark", 0xfeff],
  ["a halfwidth Hangul filler", 0xffa0],
  ["a private use character", 0xe000],
  ["a musical format control", 0x1d173],
  ["a tag letter", 0xe0061],
  ["a supplementary variation selector", 0xe0100],
];

describe("text that a person decides on", () => {
  it.each(CHARACTERS)("shows %s", (_name, codePoint) => {
    const json = JSON.stringify({ command: `rm ${String.fromCodePoint(codePoint)}x` });
    const shown = withInvisibleEscaped(json);
    expect(shown).not.toContain(String.fromCodePoint(codePoint));
    expect(shown.toLowerCase()).toContain(`\\u${codePoint <= 0xffff ? codePoint.toString(16).padStart(4, "0") : ""}`);
    // Nothing is lost or added: it is the same JSON.
    expect(JSON.parse(shown)).toEqual(JSON.parse(json));
  });

  it.each(["plain", "Grüße", "你好", "שלום", "naïve — “quoted”", "🙂", 'a "b" \\ c', "one\ntwo\tthree", "a   b"])(
    "leaves %j as it is",
    (text) => {
      const json = JSON.stringify(text);
      expect(withInvisibleEscaped(json)).toBe(json);
    },
  );

  it("does not take an escape that is written out for a character", () => {
    expect(withInvisibleEscaped(JSON.stringify("\\u202e"))).toBe('"\\\\u202e"');
  });
});
