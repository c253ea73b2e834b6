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

/** A number with a zero before it is no repetition: its characters stand for themselves. */
const REPEAT = /^\{(0|[1-9]\d{0,8})(?:,(0|[1-9]\d{0,8})?)?\}/;

/** How a group begins that captures nothing, or has a name. */
const OPENING = /^\(\?(?:[a-zA-Z-]*:|P?<[^>=!]*>)/;

/** Flags for what follows. They are no atom: a quantifier after them belongs to what stands before them. */
const FLAGS = /^\(\?[a-zA-Z-]*\)/;

interface Group {
  /** Instructions so far, without the last atom. */
  before: number;
  /** Of the last atom with its quantifiers: another one multiplies it. */
  atom: number;
  /** The alternative has no atom yet. An empty one has an instruction of its own. */
  bare: boolean;
}

const opened = (): Group => ({ before: 2, atom: 0, bare: true });

/** Reads RE2's syntax. A pattern that is none has any size. Pure. */
export function programSize(pattern: string): ProgramSize {
  const open: Group[] = [];
  let group = opened();
  let unicodeClasses = 0;
  const add = (instructions: number) => {
    group = { before: group.before + group.atom, atom: instructions, bare: false };
  };
  for (let at = 0; at < pattern.length; ) {
    switch (pattern[at]) {
      case "\\": {
        const letter = pattern[at + 1];
        if (letter === "Q") {
          const end = pattern.indexOf("\\E", at + 2);
          const stop = end < 0 ? pattern.length : end;
          for (let i = at + 2; i < stop; i++) add(1);
          at = stop + 2;
          break;
        }
        if (letter === "p" || letter === "P") unicodeClasses += 1;
        add(1);
        at += escapeLength(pattern, at);
        break;
      }
      case "[": {
        const end = classEnd(pattern, at);
        unicodeClasses += pattern.slice(at, end).match(/\\[pP]/g)?.length ?? 0;
        add(1);
        at = end;
        break;
      }
      case "(": {
        const rest = pattern.slice(at);
        const flags = FLAGS.exec(rest)?.[0].length;
        if (flags === undefined) {
          open.push(group);
          group = opened();
        }
        at += flags ?? OPENING.exec(rest)?.[0].length ?? 1;
        break;
      }
      case ")": {
        const inner = closed(group);
        group = open.pop() ?? opened();
        add(inner);
        at += 1;
        break;
      }
      case "{": {
        const repeat = REPEAT.exec(pattern.slice(at, at + 24));
        if (!repeat) {
          add(1);
          at += 1;
          break;
        }
        at += repeat[0].length;
        const least = Number(repeat[1]);
        const most = Math.max(Number(repeat[2] || least), least, 1);
        // Each copy that may be missing has an instruction of its own.
        const missing = repeat[0].includes(",") ? most - least + 1 : 0;
        group.atom = group.atom * most + missing;
        break;
      }
      case "|":
        group = { before: closed(group) + 1, atom: 0, bare: true };
        at += 1;
        break;
      // Quantifiers have instructions, too: `*` has two around what may match nothing.
      case "*":
      case "+":
      case "?":
        group.atom += pattern[at] === "*" ? 2 : 1;
        at += 1;
        break;
      default:
        add(1);
        at += 1;
    }
  }
  return { instructions: [...open, group].reduce((sum, one) => sum + closed(one), 0), unicodeClasses };
}

function closed({ before, atom, bare }: Group): number {
  return before + atom + (bare ? 1 : 0);
}

/** Characters of the escape that begins at `at`, or of the part of it after which nothing but characters can follow. */
function escapeLength(pattern: string, at: number): number {
  if (!/[pPx]/.test(pattern[at + 1] ?? "") || pattern[at + 2] !== "{") return 2;
  const end = pattern.indexOf("}", at);
  return end < 0 ? 2 : end + 1 - at;
}

/** Where the bracket expression that begins at `at` has ended. A bracket that comes first is a character. */
function classEnd(pattern: string, at: number): number {
  let end = at + 1;
  if (pattern[end] === "^") end += 1;
  for (let first = true; end < pattern.length && (first || pattern[end] !== "]"); first = false) {
    const named = pattern.startsWith("[:", end) ? pattern.indexOf(":]", end + 2) : -1;
    if (named >= 0) {
      end = named + 2;
      continue;
    }
    const isClass = /^\\[dDsSwWpP]/.test(pattern.slice(end, end + 2));
    end += characterLength(pattern, end);
    // What follows a hyphen ends a range, and begins nothing.
    if (!isClass && pattern[end] === "-" && pattern[end + 1] !== "]") end += 1 + characterLength(pattern, end + 1);
  }
  return Math.min(end + 1, pattern.length);
}

function characterLength(pattern: string, at: number): number {
  return pattern[at] === "\\" ? escapeLength(pattern, at) : 1;
}
