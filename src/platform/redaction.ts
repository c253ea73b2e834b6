/**
 * Secrets in what tools answer: a result is stored, shown to whoever reads the output, and sent to the model, so a secret that a
 * command prints is taken out of it, before anything is cut. It is found as it is; quoted or escaped as a shell, JSON or a URL
 * writes it; broken over lines; in other letter case; in base64; and each line of one that has several. What a program takes apart
 * on purpose (reversed, one character at a time) goes through, and so does what it writes into files.
 */
import type { Secrets } from "./secrets.ts";

/** Shorter values ("1", "test", "eu") are settings rather than secrets, and taking them out would garble every answer. */
const MIN_CHARACTERS = 6;
/** Characters that have to agree where others may stand between them: fewer would be found by chance. */
const MIN_TOLERANT = 8;

/** Values by the name under which they are shown, the longest first: one may be a part of another. */
export function secretValues({ environment, tokens }: Secrets): [name: string, value: string][] {
  const named = (values: Record<string, string>) => Object.entries(values);
  return [...named(environment), ...named(tokens)]
    .filter(([, value]) => value.trim().length >= MIN_CHARACTERS)
    .sort(([, a], [, b]) => b.length - a.length);
}

/** The text with `[secret <name>]` in the place of each secret. Linear in the text for each of them. */
export function redacted(text: string, values: readonly [string, string][]): string {
  if (values.length === 0 || text === "") return text;
  const spans: Span[] = [];
  const views = [viewOf(text, "letters")];
  if (/[\\%]/.test(text)) views.push(viewOf(text, "escapes"));
  for (const [name, value] of values) {
    for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + value.length)) {
      spans.push({ name, from: at, to: at + value.length });
    }
    for (const needle of needlesOf(value)) for (const view of views) spans.push(...found(view, needle, name));
  }
  return replaced(text, spans);
}

interface Span {
  name: string;
  from: number;
  to: number;
}

/** A text without what quoting, escaping and breaking lines put between its characters. */
interface View {
  characters: string;
  /** Where each character begins and ends in the text. */
  from: Uint32Array;
  to: Uint32Array;
}

/** Quotes, the backslash, white space, control characters and those of no width. */
const FILLER = /["'`\\\s\p{Cc}\p{Cf}]/u;
const ASCII_FILLER: readonly boolean[] = Array.from({ length: 128 }, (_, code) =>
  FILLER.test(String.fromCharCode(code)),
);

/** `escapes`: `\n`, `\u0041`, `\x41` and `%41` are what they stand for. `letters`: they are the letters after the backslash. */
function viewOf(text: string, read: "escapes" | "letters"): View {
  const parts: string[] = [];
  const from = new Uint32Array(text.length);
  const to = new Uint32Array(text.length);
  const add = (said: string, begin: number, end: number) => {
    for (let i = 0; i < said.length; i++) {
      const code = said.charCodeAt(i);
      const unit = said.charAt(i);
      if (code < 128 ? ASCII_FILLER[code] : FILLER.test(unit)) continue;
      const low = unit.toLowerCase();
      from[parts.length] = begin;
      to[parts.length] = end;
      // In lower case a character may become two: then it stays as it is.
      parts.push(low.length === 1 ? low : unit);
    }
  };
  for (let at = 0; at < text.length; ) {
    const escaped = read === "escapes" ? escapeAt(text, at) : null;
    if (escaped) add(escaped.said, at, at + escaped.length);
    else add(text.charAt(at), at, at + 1);
    at += escaped?.length ?? 1;
  }
  return { characters: parts.join(""), from, to };
}

function escapeAt(text: string, at: number): { said: string; length: number } | null {
  const begins = text.charCodeAt(at);
  if (begins === 0x25) {
    const run = /^(?:%[0-9a-f]{2})+/i.exec(text.slice(at, at + 36))?.[0];
    if (run === undefined) return null;
    for (let length = run.length; length > 0; length -= 3) {
      try {
        return { said: decodeURIComponent(run.slice(0, length)), length };
      } catch {
        // The run was cut within a character: a shorter one may be whole.
      }
    }
    return null;
  }
  if (begins !== 0x5c) return null;
  const code = /^\\(?:u([0-9a-f]{4})|x([0-9a-f]{2}))/i.exec(text.slice(at, at + 6));
  if (code) return { said: String.fromCharCode(Number.parseInt(code[1] ?? code[2] ?? "", 16)), length: code[0].length };
  const next = text[at + 1] ?? "";
  return /[ntrbfv0]/.test(next) ? { said: " ", length: 2 } : { said: next, length: 1 + next.length };
}

/** What is looked for in a view: the value, each of its lines, and the value in base64 and as hexadecimal digits. */
function needlesOf(value: string): string[] {
  const bytes = new TextEncoder().encode(value);
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3));
  const base64 = btoa(String.fromCharCode(...whole.subarray(0, 3_000)));
  const hex = Array.from(bytes.subarray(0, 1_000), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const lines = value.split(/\r?\n/);
  const forms = [
    value,
    ...(lines.length > 1 ? lines : []),
    base64,
    base64.replaceAll("+", "-").replaceAll("/", "_"),
    hex,
  ];
  const needles = forms.map((form) => viewOf(form, "letters").characters);
  return [...new Set(needles)].filter((needle) => needle.length >= MIN_TOLERANT);
}

function found({ characters, from, to }: View, needle: string, name: string): Span[] {
  const spans: Span[] = [];
  for (let at = characters.indexOf(needle); at >= 0; at = characters.indexOf(needle, at + needle.length)) {
    spans.push({ name, from: from[at] ?? 0, to: to[at + needle.length - 1] ?? 0 });
  }
  return spans;
}

/** Where spans overlap, all of it is taken out under the name of the longest. */
function replaced(text: string, spans: readonly Span[]): string {
  const merged: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    const last = merged.at(-1);
    if (!last || span.from >= last.to) merged.push({ ...span });
    else {
      if (span.to - span.from > last.to - last.from) last.name = span.name;
      last.to = Math.max(last.to, span.to);
    }
  }
  let at = 0;
  const out: string[] = [];
  for (const { name, from, to } of merged) {
    out.push(text.slice(at, from), `[secret ${name}]`);
    at = to;
  }
  return out.join("") + text.slice(at);
}
