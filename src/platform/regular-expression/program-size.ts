/**
 * How large a regular expression becomes when it is compiled, from its text alone: the engine's compiler unrolls `{n,m}`, so
 * a pattern of 900 characters can take a second and 200 MB before its size could be asked for.
 */

/** What a pattern costs before anything is compiled. */
export interface ProgramSize {
  /** Instructions of its program: an upper bound, close to what the compiler makes. */
  instructions: number;
  /** Classes such as `\p{L}`: each is a table of hundreds of ranges. */
  unicodeClasses: number;
}

const REPEAT = /^\{(\d{1,9})(?:,(\d{0,9}))?\}/;

/** How a group begins that captures nothing, or has a name. */
const OPENING = /^\(\?(?:[a-zA-Z-]*:|P?<[^>=!]*>)/;

interface Group {
  /** Instructions so far, without the last atom. */
  before: number;
  /** Of the last atom: a quantifier multiplies it. */
  atom: number;
}

/** Reads RE2's syntax and ECMAScript's alike. What it can't make sense of counts as literal text. Pure, and linear. */
export function programSize(pattern: string): ProgramSize {
  const open: Group[] = [];
  let group: Group = { before: 2, atom: 0 };
  let unicodeClasses = 0;
  const add = (instructions: number) => {
    group = { before: group.before + group.atom, atom: instructions };
  };
  for (let at = 0; at < pattern.length; at++) {
    switch (pattern[at]) {
      case "\\":
        at += 1;
        if (pattern[at] === "p" || pattern[at] === "P") unicodeClasses += 1;
        add(1);
        break;
      case "[": {
        const end = classEnd(pattern, at);
        unicodeClasses += pattern.slice(at, end).match(/\\[pP]/g)?.length ?? 0;
        at = end;
        add(1);
        break;
      }
      case "(":
        open.push(group);
        group = { before: 2, atom: 0 };
        at += (OPENING.exec(pattern.slice(at, at + 80))?.[0].length ?? 1) - 1;
        break;
      case ")": {
        const inner = group.before + group.atom;
        group = open.pop() ?? { before: 0, atom: 0 };
        add(inner);
        break;
      }
      case "{": {
        const repeat = REPEAT.exec(pattern.slice(at, at + 24));
        if (!repeat) {
          add(1);
          break;
        }
        at += repeat[0].length - 1;
        const least = Number(repeat[1]);
        const most = Math.max(Number(repeat[2] || least), least, 1);
        // Each copy that may be missing has an instruction of its own.
        group.atom = group.atom * most + (repeat[2] === undefined ? 0 : most - least + 1);
        break;
      }
      default:
        // Operators have instructions, too: `*` has two around what may match nothing.
        if ("*+?|".includes(pattern[at] ?? "")) group.before += pattern[at] === "*" ? 2 : 1;
        else add(1);
    }
  }
  const whole = [...open, group].reduce((sum, { before, atom }) => sum + before + atom, 0);
  return { instructions: whole, unicodeClasses };
}

/** Where the bracket expression that begins at `at` ends. */
function classEnd(pattern: string, at: number): number {
  let end = at + 1;
  if (pattern[end] === "^") end += 1;
  // RE2 takes a bracket that comes first as a character. ECMAScript's empty class ends here, and counts no less for it.
  if (pattern[end] === "]") end += 1;
  while (end < pattern.length && pattern[end] !== "]") end += pattern[end] === "\\" ? 2 : 1;
  return Math.min(end, pattern.length);
}
