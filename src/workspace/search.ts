/**
 * Looking through files for a text or a regular expression. Expressions run on RE2's algorithm, whose time is linear in
 * the text, never on the runtime's own engine, which a hostile pattern can keep busy for ever. What one call may do is
 * bounded in work, not in time: the clock stands still while a Worker computes.
 */

import type { Match, Matches, SearchQuery } from "../contracts/workspace.ts";
import { MadroxError } from "../platform/errors.ts";
import { compileRe2, MAX_PATTERN_CHARACTERS } from "../platform/regular-expression/expression.ts";
import { fits } from "./glob.ts";
import { linePieces } from "./lines.ts";
import type { Node } from "./nodes.ts";
import { cursorPath, type Found, type Tree, walk } from "./tree.ts";

/**
 * Work of one call: characters times the size of the expression's program, which bounds what the engine does. The
 * worst pattern found (`[ab]*a[ab]{900}c`) took 55 ns for each on a machine that was busy: 3.3 s for all of it, 0.2 s for a slice.
 */
const CALL_WORK = 60_000_000;
/** Work after which others get a turn in this object, and the most of one text: at a stretch at most twice this is done. */
const SLICE_WORK = 4_000_000;
/** What a line costs beside its characters, and what a file costs, however short they are. */
const LINE_WORK = 50;
const FILE_WORK = 25_000;
/**
 * Windows of a long line overlap by this part of them: a match of that length is found wherever it lies. To the engine each is
 * a line, so `^` and `$` fit their ends as well.
 */
const OVERLAP = 1 / 8;
/** Characters of a line that are shown. */
const SHOWN_CHARACTERS = 500;
/** Characters of one answer, all matches and their context together. */
const MAX_ANSWER_CHARACTERS = 60_000;

interface Test {
  matches(text: string): boolean;
  /** Instructions of its program. */
  size: number;
}

export async function search(tree: Tree, query: SearchQuery, root: Node): Promise<Matches> {
  const test = await testOf(query);
  const cursor = parseCursor(query.cursor);
  const work = new Work();
  const found: Match[] = [];
  let files = 0;
  let characters = 0;
  const stopped = (path: string, line: number, column: number): Matches => ({
    matches: found,
    files,
    next: cursorOf(path, line, column),
    searched: { path, line },
  });
  const within = query.folder === "" ? 0 : query.folder.length + 1;
  for (const { path, node } of candidates(tree, query, root, cursor?.path ?? null)) {
    if (query.include !== null && !fits(query.include, path.slice(within) || path)) continue;
    if (!work.charge(FILE_WORK)) return stopped(path, 0, 0);
    files += 1;
    const after = cursor?.path === path ? cursor : { line: 0, column: 0 };
    const from = found.length;
    let end = 0;
    try {
      const open: Match[] = [];
      const before: string[] = [];
      for await (const { line, text, more } of linePieces(path, tree.chunks(path, node))) {
        const start = end;
        end = more ? start + text.length : 0;
        for (const match of open) if (match.line !== line) match.after.push(cut(text));
        while (open[0] && open[0].after.length >= query.context) open.shift();
        if (line <= after.line) work.pass(text.length);
        const skip = line === after.line + 1 ? after.column - start : 0;
        for (const window of line > after.line ? windows(text, skip, test.size) : []) {
          // A line counts once, whatever it comes in.
          if (found.length > from && found.at(-1)?.line === line) break;
          if (!work.charge(window.text.length * test.size + LINE_WORK)) {
            return stopped(path, line - 1, start + window.at);
          }
          if (work.due) await work.pause();
          if (!test.matches(window.text)) continue;
          if (found.length >= query.limit || characters > MAX_ANSWER_CHARACTERS) {
            return stopped(path, line - 1, start + window.at);
          }
          const match: Match = { path, line, text: cut(text), before: [...before], after: [] };
          characters += path.length + (match.text.length + 1) * (1 + 2 * query.context);
          found.push(match);
          if (query.context > 0) open.push(match);
        }
        if (work.due) await work.pause();
        before.push(cut(text));
        if (before.length > query.context) before.shift();
      }
    } catch (error) {
      // Not a text, or changed meanwhile: it is left out, whole.
      if (!(error instanceof MadroxError)) throw error;
      found.length = from;
      files -= 1;
    }
  }
  return { matches: found, files, next: null, searched: null };
}

/** What a call has done, and since when others have waited. */
class Work {
  #done = 0;
  #slice = 0;

  /** Whether the call may do this as well. Every call gets on: no file and no window is as much as a call may do. */
  charge(work: number): boolean {
    if (this.#done + work > CALL_WORK) return false;
    this.#done += work;
    this.#slice += work;
    return true;
  }

  /** Text that an earlier call has looked through, and this one has to read again to get behind it. */
  pass(characters: number): void {
    this.#slice += characters + LINE_WORK;
  }

  get due(): boolean {
    return this.#slice > SLICE_WORK;
  }

  async pause(): Promise<void> {
    this.#slice = 0;
    await scheduler.wait(0);
  }
}

/** The parts of a text that are looked at one by one, from a place on: all of it at once where that is little work. */
function* windows(text: string, skip: number, size: number): Generator<{ text: string; at: number }> {
  const length = Math.max(1, Math.floor(SLICE_WORK / size));
  const step = Math.max(1, length - Math.floor(length * OVERLAP));
  const first = Math.max(0, skip);
  if (first > 0 && first >= text.length) return;
  for (let at = first; ; at += step) {
    yield { text: at === 0 && text.length <= length ? text : text.slice(at, at + length), at };
    if (at + length >= text.length) return;
  }
}

function* candidates(tree: Tree, query: SearchQuery, root: Node, from: string | null): Generator<Found> {
  if (root.type === "file") {
    yield { path: query.folder, node: root };
    return;
  }
  for (const found of walk(tree, query.folder, root.inode, from, true)) if (found.node.type === "file") yield found;
}

async function testOf(query: SearchQuery): Promise<Test> {
  if (query.pattern === "")
    throw new MadroxError("invalid_input", "pattern is empty: say what to look for.", { field: "pattern" });
  if (query.pattern.length > MAX_PATTERN_CHARACTERS) {
    throw new MadroxError("invalid_input", `pattern has at most ${MAX_PATTERN_CHARACTERS} characters.`, {
      field: "pattern",
    });
  }
  if (!query.regex) {
    const wanted = query.ignoreCase ? query.pattern.toLowerCase() : query.pattern;
    return {
      matches: (text) => (query.ignoreCase ? text.toLowerCase() : text).includes(wanted),
      size: 1,
    };
  }
  const compiled = await compileRe2(query.pattern, { ignoreCase: query.ignoreCase });
  if (!compiled.ok) {
    throw new MadroxError(
      "invalid_input",
      `The regular expression can't be used: ${compiled.reason}. It is RE2's syntax: no backreferences, no look-around.`,
      { field: "pattern" },
    );
  }
  const { expression } = compiled;
  return { matches: (text) => expression.test(text), size: expression.size };
}

const cut = (text: string) =>
  text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}...` : text;

/** Where a search goes on: in this file, behind this line, and behind so many characters of the next one. */
function cursorOf(path: string, line: number, column: number): string {
  return `${line}${column > 0 ? `+${column}` : ""}:${path}`;
}

function parseCursor(cursor: string | null): { path: string; line: number; column: number } | null {
  if (cursor === null) return null;
  const [, line = "", column = "0", path = ""] = /^(\d{1,9})(?:\+(\d{1,12}))?:(.*)$/.exec(cursor) ?? [];
  if (line === "") cursorPath("\\");
  return { path: cursorPath(path), line: Number(line), column: Number(column) };
}
