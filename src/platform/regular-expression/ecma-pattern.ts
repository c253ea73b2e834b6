/**
 * A pattern in ECMAScript's syntax, as JSON Schema has it, in RE2's. The two agree on most of it; they differ in what `.`,
 * `$` and `\s` mean, and RE2 has no look-around and no references back.
 */

/** What an expression says that RE2 can't: the end of a sentence that begins with the pattern. */
export class Inexpressible extends Error {}

/** ECMAScript's white space and line ends. */
const SPACE: readonly (readonly [number, number])[] = [
  [0x9, 0xd],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LAST_CODE_POINT = 0x10ffff;

const code = (point: number) => `\\x{${point.toString(16)}}`;
const ranges = (list: readonly (readonly [number, number])[]) =>
  list.map(([from, to]) => (from === to ? code(from) : `${code(from)}-${code(to)}`)).join("");

const IN_CLASS: Readonly<Record<string, string>> = {
  d: "\\d",
  D: "\\D",
  w: "\\w",
  W: "\\W",
  s: ranges(SPACE),
  S: ranges(complement(SPACE)),
};
const OUTSIDE: Readonly<Record<string, string>> = {
  ...IN_CLASS,
  s: `[${IN_CLASS.s}]`,
  S: `[${IN_CLASS.S}]`,
  b: "\\b",
  B: "\\B",
};
const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const NOTHING = `[^${code(0)}-${code(LAST_CODE_POINT)}]`;
const ANYTHING = `[${code(0)}-${code(LAST_CODE_POINT)}]`;
const NOT_LINE_END = `[^\\n\\r${code(0x2028)}-${code(0x2029)}]`;

/** Long names of general categories, which RE2 knows by their short ones. */
const CATEGORIES: Readonly<Record<string, string>> = {
  Letter: "L",
  Uppercase_Letter: "Lu",
  Lowercase_Letter: "Ll",
  Titlecase_Letter: "Lt",
  Modifier_Letter: "Lm",
  Other_Letter: "Lo",
  Mark: "M",
  Number: "N",
  Decimal_Number: "Nd",
  Letter_Number: "Nl",
  Punctuation: "P",
  Symbol: "S",
  Separator: "Z",
  Space_Separator: "Zs",
  Control: "Cc",
};

/**
 * The pattern in RE2's syntax, without captures. `pattern` is one that the runtime takes. Throws `Inexpressible`. Pure, and
 * linear.
 */
export function toRe2(pattern: string): string {
  let out = "";
  for (let at = 0; at < pattern.length; ) {
    const [text, length] = piece(pattern, at);
    out += text;
    at += length;
  }
  return out;
}

/** What stands at a place, in RE2's syntax, and how many characters of the pattern it takes. */
function piece(pattern: string, at: number): [text: string, length: number] {
  const rest = pattern.slice(at, at + 32);
  switch (pattern[at]) {
    case "\\": {
      const { means, length } = escaped(pattern, at);
      return [typeof means === "number" ? code(means) : means, length];
    }
    case "[":
      return bracketed(pattern, at);
    case "(":
      return [`(?:`, opening(rest)];
    case ".":
      return [NOT_LINE_END, 1];
    case "$":
      return ["\\z", 1];
    case "{": {
      const repeat = /^\{\d+(?:,\d*)?\}/.exec(rest);
      // With a zero before its numbers, RE2 has it stand for itself.
      return repeat ? [repeat[0].replace(/\b0+(?=\d)/g, ""), repeat[0].length] : [code(0x7b), 1];
    }
    case "^":
    case ")":
    case "|":
    case "*":
    case "+":
    case "?":
      return [pattern[at] ?? "", 1];
    default: {
      const point = pattern.codePointAt(at) ?? 0;
      return [code(point), point > 0xffff ? 2 : 1];
    }
  }
}

/** How long the beginning of a group is. */
function opening(rest: string): number {
  if (!rest.startsWith("(?")) return 1;
  if (rest.startsWith("(?:")) return 3;
  if (/^\(\?<?[=!]/.test(rest)) throw new Inexpressible("it looks around, which RE2 can't");
  const name = /^\(\?<[^>]{1,28}>/.exec(rest);
  if (name) return name[0].length;
  throw new Inexpressible("it changes flags or has a long name, which is not supported");
}

/** An escape: the code point it stands for, or RE2's text for a class or an assertion. */
function escaped(pattern: string, at: number, inClass = false): { means: number | string; length: number } {
  const rest = pattern.slice(at + 1, at + 80);
  const letter = rest[0] ?? "";
  if (inClass && letter === "b") return { means: 8, length: 2 };
  if (inClass && letter === "-") return { means: 0x2d, length: 2 };
  const text = (inClass ? IN_CLASS : OUTSIDE)[letter];
  if (text !== undefined) return { means: text, length: 2 };
  const control = CONTROL[letter];
  if (control !== undefined && !/^0\d/.test(rest)) return { means: control, length: 2 };
  if (/\d/.test(letter) || /^k</.test(rest)) throw new Inexpressible("it refers back to a group, which RE2 can't");
  const hex =
    /^u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/.exec(rest) ??
    /^(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,8})\})/.exec(rest);
  if (hex) {
    const [high, low] = [hex[1], hex[2]];
    const paired = high !== undefined && low !== undefined;
    const point = paired
      ? 0x10000 + ((Number.parseInt(high, 16) & 0x3ff) << 10) + (Number.parseInt(low, 16) & 0x3ff)
      : Number.parseInt(high ?? low ?? hex[3] ?? "", 16);
    return { means: point, length: hex[0].length + 1 };
  }
  if (letter === "c" && /[a-zA-Z]/.test(rest[1] ?? "")) return { means: rest.charCodeAt(1) & 31, length: 3 };
  const property = /^([pP])\{([^}]{1,60})\}/.exec(rest);
  if (property)
    return { means: `\\${property[1]}{${propertyName(property[2] ?? "")}}`, length: property[0].length + 1 };
  const point = pattern.codePointAt(at + 1) ?? 0x5c;
  return { means: point, length: point > 0xffff ? 3 : 2 };
}

function propertyName(text: string): string {
  const [kind, value] = text.includes("=") ? text.split("=", 2) : ["gc", text];
  if (kind === "sc" || kind === "Script") return value ?? "";
  const known = kind === "gc" || kind === "General_Category" ? (CATEGORIES[value ?? ""] ?? value) : undefined;
  if (known === undefined || !/^\p{L}{1,2}$/u.test(known)) {
    throw new Inexpressible(`it uses the property ${text}, which RE2 does not know`);
  }
  return known;
}

/** A bracket expression. */
function bracketed(pattern: string, start: number): [text: string, length: number] {
  let at = start + 1;
  const negated = pattern[at] === "^";
  if (negated) at += 1;
  if (pattern[at] === "]") return [negated ? ANYTHING : NOTHING, at + 1 - start];
  let out = "";
  // A hyphen is a range only between two characters.
  let last: "character" | "range" | "class" = "class";
  while (at < pattern.length && pattern[at] !== "]") {
    if (pattern[at] === "-" && last === "character" && endsRange(pattern, at + 1)) {
      out += "-";
      last = "range";
      at += 1;
      continue;
    }
    if (pattern[at] === "\\") {
      const { means, length } = escaped(pattern, at, true);
      out += typeof means === "number" ? code(means) : means;
      last = typeof means === "string" || last === "range" ? "class" : "character";
      at += length;
      continue;
    }
    const point = pattern.codePointAt(at) ?? 0;
    out += code(point);
    last = last === "range" ? "class" : "character";
    at += point > 0xffff ? 2 : 1;
  }
  return [`[${negated ? "^" : ""}${out}]`, at + 1 - start];
}

/** Whether what stands here can be the end of a range. */
function endsRange(pattern: string, at: number): boolean {
  if (pattern[at] === undefined || pattern[at] === "]") return false;
  return !/^\\[dDwWsSpP]/.test(pattern.slice(at, at + 2));
}

function complement(list: readonly (readonly [number, number])[]): [number, number][] {
  const out: [number, number][] = [];
  let from = 0;
  for (const [first, last] of list) {
    out.push([from, first - 1]);
    from = last + 1;
  }
  out.push([from, LAST_CODE_POINT]);
  return out;
}
