/**
 * A conversation's rows as turns: what was sent, what was done for it, what came of it. Pure.
 */
import type { OutputRow } from "./records.ts";

export interface ToolUse {
  kind: "tool";
  index: number;
  name: string;
  input: string;
  /** Null: it has not come back. */
  result: string | null;
  failed: boolean;
}

export interface Said {
  kind: "user" | "response" | "progress" | "notice";
  index: number;
  text: string;
  at: string;
  tokens: number;
  cost: number;
}

export interface Turn {
  message_id: string;
  at: string;
  parts: (Said | ToolUse)[];
}

export function turnsOf(rows: readonly OutputRow[]): Turn[] {
  const turns = new Map<string, Turn>();
  const tools = new Map<string, ToolUse>();
  for (const row of rows) {
    const turn = turns.get(row.message_id) ?? { message_id: row.message_id, at: row.timestamp, parts: [] };
    turns.set(row.message_id, turn);
    if (row.type === "tool_call") {
      const call = json(row.content);
      const use: ToolUse = {
        kind: "tool",
        index: row.message_index,
        name: String(call.name ?? "tool"),
        input: JSON.stringify(call.input ?? {}, null, 2),
        result: null,
        failed: false,
      };
      tools.set(String(call.id), use);
      turn.parts.push(use);
    } else if (row.type === "tool_result") {
      const result = json(row.content);
      const use = tools.get(String(result.id));
      if (!use) continue;
      use.result = contentText(result.content);
      use.failed = result.is_error === true;
    } else {
      turn.parts.push({
        kind: row.type,
        index: row.message_index,
        text: row.content,
        at: row.timestamp,
        tokens: row.tokens_used,
        cost: row.cost,
      });
    }
  }
  return [...turns.values()];
}

function json(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { content: text };
  }
}

function contentText(content: unknown): string {
  if (typeof content === "string") return pretty(content);
  if (!Array.isArray(content)) return JSON.stringify(content ?? "", null, 2);
  return content
    .map((part) => (typeof part?.text === "string" ? pretty(part.text) : JSON.stringify(part, null, 2)))
    .join("\n");
}

/** JSON in lines; everything else as it is. */
function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
