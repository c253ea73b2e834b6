/**
 * Exact replacement in a text. Pure: says what the text becomes, or why not, in words that help to try again.
 */

import type { Edit } from "../contracts/workspace.ts";
import { err, ok, type Result } from "../platform/errors.ts";

/** Lines that are compared for a helpful refusal, and characters of each: what that may cost. */
const COMPARED_LINES = 20_000;
const COMPARED_CHARACTERS = 200;
const SHOWN_LINES = 3;

export interface Replaced {
  text: string;
  replacements: number;
  /** Line of the first replacement, from 1. */
  line: number;
}

/** `conflict` when the old text is not there, or more than once without `all`; `invalid_input` for an edit of nothing. */
export function replace(text: string, edit: Edit, path: string): Result<Replaced> {
  if (edit.old === "") return err("invalid_input", "old_text is empty: say what to replace, or use write_file.");
  if (edit.old === edit.new)
    return err("invalid_input", "old_text and new_text are the same: there is nothing to change.");
  const first = text.indexOf(edit.old);
  if (first < 0) return err("conflict", notFound(text, edit.old, path), { matches: 0 });
  const count = occurrences(text, edit.old);
  if (count > 1 && !edit.all) {
    const lines = linesOf(text, edit.old).join(", ");
    return err(
      "conflict",
      `old_text is in ${path} ${count} times (lines ${lines}${count > 5 ? ", ..." : ""}). Take in more of what is around the one you mean, or set replace_all.`,
      { matches: count },
    );
  }
  return ok({
    text: text.replaceAll(edit.old, () => edit.new),
    replacements: count,
    line: lineAt(text, first),
  });
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

function linesOf(text: string, part: string): number[] {
  const lines: number[] = [];
  for (let at = text.indexOf(part); at >= 0 && lines.length < 5; at = text.indexOf(part, at + part.length)) {
    lines.push(lineAt(text, at));
  }
  return lines;
}

function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

function notFound(text: string, old: string, path: string): string {
  const said = `old_text is not in ${path}.`;
  if (text.includes("\r\n") && text.replaceAll("\r\n", "\n").includes(old.replaceAll("\r\n", "\n"))) {
    return `${said} The file ends its lines with \\r\\n: write them so in old_text, and in new_text.`;
  }
  const lines = text.split("\n", COMPARED_LINES);
  const wanted = old.split("\n").find((line) => line.trim() !== "") ?? "";
  const same = lines.findIndex((line) => wanted.trim() !== "" && squeezed(line) === squeezed(wanted));
  if (same >= 0) {
    const reason =
      lines[same] === wanted ? "what follows it differs" : "its white space differs, or what follows it does";
    return `${said} Line ${same + 1} comes near (${reason}): ${shown(lines[same] ?? "")}. Read the file from there and copy the text exactly.`;
  }
  const near = nearest(lines, wanted);
  if (near.length === 0) return `${said} Nothing in it comes near: read the file again.`;
  const list = near.map((index) => `line ${index + 1}: ${shown(lines[index] ?? "")}`).join("; ");
  return `${said} Nearest to its first line: ${list}. Read the file again and copy the text exactly.`;
}

const squeezed = (line: string) => line.replace(/\s+/g, " ").trim();
const shown = (line: string) => JSON.stringify(line.slice(0, 120).toWellFormed());

/** Indices of the lines that share the most pairs of characters with the wanted one, best first. */
function nearest(lines: readonly string[], wanted: string): number[] {
  const pairs = pairsOf(wanted);
  if (pairs.size === 0) return [];
  const scored = lines.map((line, index) => {
    const own = pairsOf(line);
    let shared = 0;
    for (const pair of own) if (pairs.has(pair)) shared++;
    return { index, score: own.size === 0 ? 0 : (2 * shared) / (own.size + pairs.size) };
  });
  return scored
    .filter(({ score }) => score > 0.4)
    .sort((a, b) => b.score - a.score)
    .slice(0, SHOWN_LINES)
    .map(({ index }) => index);
}

function pairsOf(line: string): Set<string> {
  const text = squeezed(line.slice(0, COMPARED_CHARACTERS)).toLowerCase();
  const pairs = new Set<string>();
  for (let i = 0; i + 1 < text.length; i++) pairs.add(text.slice(i, i + 2));
  return pairs;
}
