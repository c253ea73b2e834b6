/**
 * The lines of the tree, as they stand below each other. Pure.
 */
import type { InstanceState, TreeRow } from "./records.ts";
import { modelName, roleName, STATE_WORDS } from "./wording.ts";

export interface TreeLine {
  row: TreeRow;
  level: number;
  /** Place among its siblings, from 1 on, and how many there are. */
  place: number;
  siblings: number;
  /** Null: it has none below it. */
  open: boolean | null;
}

export interface TreeFilter {
  search: string;
  state: InstanceState | null;
  ended: boolean;
}

/** A shorter word is hardly meant as a part of an id, but stands in many. */
const ID_PART_CHARS = 6;

function fits(row: TreeRow, words: readonly string[], state: InstanceState | null): boolean {
  if (state !== null && row.state !== state) return false;
  if (words.length === 0) return true;
  const text =
    `${row.name} ${row.role} ${roleName(row.role)} ${row.model} ${modelName(row.model)} ${STATE_WORDS[row.state]} ${row.state}`.toLowerCase();
  const id = row.instance_id.toLowerCase();
  return words.every((word) => text.includes(word) || (word.length >= ID_PART_CHARS && id.includes(word)));
}

/** Lines from top to bottom. While something is looked for, what fits is shown with those above it, and nothing is folded. */
export function linesOf(
  rows: ReadonlyMap<string, TreeRow>,
  filter: TreeFilter,
  folded: ReadonlySet<string>,
): TreeLine[] {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  const narrow = words.length > 0 || filter.state !== null;
  const shown = new Set<string>();
  for (const row of rows.values()) {
    if (row.state === "terminated" && !filter.ended) continue;
    if (!fits(row, words, filter.state)) continue;
    for (let at: TreeRow | undefined = row; at && !shown.has(at.instance_id); ) {
      shown.add(at.instance_id);
      at = at.parent_instance_id === null ? undefined : rows.get(at.parent_instance_id);
    }
  }
  const below = new Map<string | null, TreeRow[]>();
  for (const row of rows.values()) {
    if (!shown.has(row.instance_id)) continue;
    const parent = row.parent_instance_id !== null && shown.has(row.parent_instance_id) ? row.parent_instance_id : null;
    const list = below.get(parent);
    if (list) list.push(row);
    else below.set(parent, [row]);
  }
  const lines: TreeLine[] = [];
  const add = (parent: string | null, level: number) => {
    // Ids begin with the time of their making: in this order the oldest come first.
    const list = (below.get(parent) ?? []).sort((a, b) => (a.instance_id < b.instance_id ? -1 : 1));
    list.forEach((row, i) => {
      const open = below.has(row.instance_id) ? narrow || !folded.has(row.instance_id) : null;
      lines.push({ row, level, place: i + 1, siblings: list.length, open });
      if (open) add(row.instance_id, level + 1);
    });
  };
  add(null, 1);
  return lines;
}
