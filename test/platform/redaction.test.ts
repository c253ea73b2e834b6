/** A secret does not show in what a tool answers, however a shell, JSON or a URL writes it, and wherever lines break. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { redacted, secretValues } from "../../src/platform/redaction.ts";

const TOKEN = `pa"ss\\wo'rd$TOPSECRET-part2 end`;
const LINES = "line1secret\nline2secret\nline3secret";
const PLAIN = "SuperSecretValue123456";
const values = secretValues({ environment: { API_TOKEN: TOKEN, MULTI: LINES, PLAIN }, tokens: {} });

const base64 = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

describe("a secret", () => {
  it.each<[how: string, text: string, shown: string]>([
    ["as it is", `token=${PLAIN};`, "token=[secret PLAIN];"],
    ["twice", `${PLAIN} ${PLAIN}`, "[secret PLAIN] [secret PLAIN]"],
    ["in double quotes", `API_TOKEN="pa\\"ss\\\\wo'rd\\$TOPSECRET-part2 end"`, `API_TOKEN="[secret API_TOKEN]"`],
    ["quoted by printf %q", "pa\\\"ss\\\\wo\\'rd\\$TOPSECRET-part2\\ end", "[secret API_TOKEN]"],
    ["in JSON", JSON.stringify({ a: TOKEN }), `{"a":"[secret API_TOKEN]"}`],
    ["in JSON in JSON", JSON.stringify(JSON.stringify({ a: TOKEN })), `"{\\"a\\":\\"[secret API_TOKEN]\\"}"`],
    ["in a shell's $'...'", "MULTI=$'line1secret\\nline2secret\\nline3secret'", "MULTI=$'[secret MULTI]'"],
    ["in a URL", `https://x.test/?t=${encodeURIComponent(TOKEN)}&u=1`, "https://x.test/?t=[secret API_TOKEN]&u=1"],
    ["with escaped characters", "Super\\u0053ecret\\x56alue123456", "[secret PLAIN]"],
    ["folded", "SuperSec\nretValue\n123456\n", "[secret PLAIN]\n"],
    ["spaced out", "S u p e r S e c r e t V a l u e 1 2 3 4 5 6", "[secret PLAIN]"],
    ["in capitals", "SUPERSECRETVALUE123456", "[secret PLAIN]"],
    ["in base64", `Basic ${base64(`${PLAIN}\n`)}`, "Basic [secret PLAIN]"],
    [
      "of several lines, numbered",
      "1:line1secret\n2:line2secret\n3:line3secret",
      "1:[secret MULTI]\n2:[secret MULTI]\n3:[secret MULTI]",
    ],
    ["of several lines, its head", "line1secret\nline2secret\n", "[secret MULTI]\n[secret MULTI]\n"],
  ])("%s is taken out", (_how, text, shown) => {
    const result = redacted(text, values);
    // Base64 of what follows the secret in the same group stays: it says nothing of it.
    expect(result.replace(/(\])[A-Za-z0-9+/=]{1,4}$/, "$1")).toBe(shown);
  });

  it("is taken out of any text around it, and nothing else is", () => {
    const around = fc.string({ unit: fc.constantFrom("a", "Z", "\\", '"', "\n", "%", "%4", "é", "😀", "\u200b", "7") });
    fc.assert(
      fc.property(around, around, (before, after) => {
        const shown = redacted(`${before}${PLAIN}${after}`, values);
        expect(shown).not.toContain("SecretValue");
        expect(shown).toContain("[secret PLAIN]");
      }),
    );
  });

  it("that is short is a setting, and stays", () => {
    expect(secretValues({ environment: { REGION: "eu", MODE: "test" }, tokens: {} })).toEqual([]);
  });

  it("leaves text without it as it is", () => {
    const text = "Super secrets are values; 123456 is none.\n\\u0041 %41 'quoted' \"too\"";
    expect(redacted(text, values)).toBe(text);
  });
});
