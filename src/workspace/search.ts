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

/** Bytes that one call looks through for a literal text. */
const LITERAL_BYTES = 64 * 1024 * 1024;
/**
 * For an expression: bytes times the size of its program, which is what the engine may have to do. Measured: 120 million
 * of these take 1.4 s at worst.
 */
const EXPRESSION_WORK = 200_000_000;
const EXPRESSION_BYTES = 16 * 1024 * 1024;
/** Characters of a line that are shown. */
const SHOWN_CHARACTERS = 500;
/** Characters of one answer, all matches and their context together. */
const MAX_ANSWER_CHARACTERS = 60_000;
/** Files or bytes after which others get a turn in this object. */
const YIELD_BYTES = 1024 * 1024;
const YIELD_FILES = 200;

interface Test {
  matches(line: string): boolean;
  budget: number;
}

export async function search(tree: Tree, query: SearchQuery, root: Node): Promise<Matches> {
  const test = await testOf(query);
  const cursor = parseCursor(query.cursor);
  const found: Match[] = [];
  let files = 0;
  let work = 0;
  let characters = 0;
  let paused = 0;
  const within = query.folder === "" ? 0 : query.folder.length + 1;
  for (const { path, node } of candidates(tree, query, root, cursor?.path ?? null)) {
    if (query.include !== null && !fits(query.include, path.slice(within) || path)) continue;
    // A budget that one file exceeds still lets that file be looked through: else the search would never get past it.
    if (work > 0 && work + node.size > test.budget) return { matches: found, files, next: cursorOf(path, 0) };
    work += node.size;
    paused += node.size;
    if (paused > YIELD_BYTES || files % YIELD_FILES === YIELD_FILES - 1) {
      paused = 0;
      await scheduler.wait(0);
    }
    files += 1;
    const after = cursor?.path === path ? cursor.line : 0;
    const from = found.length;
    try {
      const open: Match[] = [];
      const before: string[] = [];
      for await (const { line, text } of linePieces(path, tree.chunks(path, node))) {
        for (const match of open) if (match.line !== line) match.after.push(cut(text));
        while (open[0] && open[0].after.length >= query.context) open.shift();
        // A line that comes in several pieces counts once.
        const told = found.length > from && found.at(-1)?.line === line;
        if (line > after && !told && test.matches(text)) {
          if (found.length >= query.limit || characters > MAX_ANSWER_CHARACTERS) {
            return { matches: found, files, next: cursorOf(path, line - 1) };
          }
          const match: Match = { path, line, text: cut(text), before: [...before], after: [] };
          characters += path.length + (match.text.length + 1) * (1 + 2 * query.context);
          found.push(match);
          if (query.context > 0) open.push(match);
        }
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
  return { matches: found, files, next: null };
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
      matches: (line) => (query.ignoreCase ? line.toLowerCase() : line).includes(wanted),
      budget: LITERAL_BYTES,
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
  return {
    matches: (line) => expression.test(line),
    budget: Math.min(EXPRESSION_BYTES, EXPRESSION_WORK / expression.size),
  };
}

const cut = (text: string) =>
  text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}...` : text;

/** Where a search goes on: in this file, behind this line. */
function cursorOf(path: string, line: number): string {
  return `${line}:${path}`;
}

function parseCursor(cursor: string | null): { path: string; line: number } | null {
  if (cursor === null) return null;
  const [, line = "", path = ""] = /^(\d{1,9}):(.*)$/.exec(cursor) ?? [];
  if (line === "") cursorPath("\\");
  return { path: cursorPath(path), line: Number(line) };
}
