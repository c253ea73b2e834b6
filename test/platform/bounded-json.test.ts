/** JSON in bounded memory: what is counted, at every border, however the bytes arrive. */
import { describe, expect, it } from "vitest";
import { MAX_JSON_DEPTH, MAX_JSON_VALUES, readJson } from "../../src/platform/bounded-json.ts";
import { MadroxError } from "../../src/platform/errors.ts";

const MAX_BYTES = 1_000_000;

/** The text in pieces of so many bytes, which may divide characters and escapes. */
function* inPieces(text: string, size: number): Generator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const read = (text: string, size = 65_536) => readJson(inPieces(text, size), MAX_BYTES);

const refusal = (text: string) =>
  read(text).then(
    () => "taken",
    (error: unknown) => (error instanceof MadroxError ? error.code : String(error)),
  );

const repeated = (piece: string, times: number) => Array.from({ length: times }, () => piece).join(",");

describe("a JSON text", () => {
  const TRICKY = JSON.stringify({
    'quotes " and \\ in [keys]': ['a "quoted" [word], and \\" more \\\\', "}{][,,,", "é€😀\ud800", "\u2028"],
    empty: [[], {}, "", null, -1.5e3, true],
  });

  it.each([1, 2, 3, 7, 65_536])("is read as it is in pieces of %i bytes", async (size) => {
    expect(await read(TRICKY, size)).toEqual(JSON.parse(TRICKY));
  });

  it.each(["", "{", "[1,", "nul", '{"a":1}}', "\0"])("that is %j is no JSON", async (text) => {
    await expect(read(text)).rejects.toThrow(SyntaxError);
  });

  it("may be a string with as many brackets and commas as there is room", async () => {
    const text = JSON.stringify("[{,".repeat(300_000));
    expect(await read(text)).toBe("[{,".repeat(300_000));
  });

  it("is refused by its bytes before all of them have come", async () => {
    let pieces = 0;
    const endless = (function* () {
      for (;;) {
        pieces++;
        yield new Uint8Array(100_000).fill(0x20);
      }
    })();
    await expect(readJson(endless, MAX_BYTES)).rejects.toMatchObject({ code: "too_large" });
    expect(pieces).toBe(11);
  });

  it.each([
    ["empty arrays", (n: number) => `[${repeated("[]", n)}]`, 2],
    ["empty objects", (n: number) => `[${repeated("{}", n)}]`, 2],
    ["numbers", (n: number) => `[${repeated("1", n)}]`, 1],
    ["texts", (n: number) => `[${repeated('"[{"', n)}]`, 1],
    ["objects", (n: number) => `[${repeated('{"a":1}', n)}]`, 2],
    ["keys", (n: number) => `{${Array.from({ length: n }, (_, i) => `"${i}":1`).join(",")}}`, 1],
  ])("may have so many %s and no more", async (_what, textOf, each) => {
    expect(await refusal(textOf(MAX_JSON_VALUES / each))).toBe("taken");
    expect(await refusal(textOf(MAX_JSON_VALUES / each + 1))).toBe("too_large");
  });

  it.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
  ])("may be nested so deep in %s and no deeper", async (_what, open, close) => {
    const nested = (depth: number) => `${open.repeat(depth)}1${close.repeat(depth)}`;
    expect(await refusal(nested(MAX_JSON_DEPTH))).toBe("taken");
    expect(await refusal(nested(MAX_JSON_DEPTH + 1))).toBe("invalid_input");
  });
});
