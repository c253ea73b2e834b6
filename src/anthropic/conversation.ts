/**
 * The messages of a request, made from the stored rows so that the Messages API takes them whatever the rows hold: what a model
 * answered, what a tool returned, what an older version of this server left behind.
 *
 * Rows that are sound are sent as they are, byte for byte, and each repair depends on its own row and the rows before it alone
 * (but for an open server tool, below), because models check that a replayed prefix is unchanged. The rules:
 * - Blank text, empty rows and results without a call are left out; neighbours of the same role become one message.
 * - An assistant row does not end in thinking: the API refuses that, and a turn cut off by `max_tokens` can leave it.
 * - A server tool's call that never got its result is left out once the user has said something else, with everything the model
 *   thought after it. Until then it stays: the API goes on with it after a pause, and after the results of other tools.
 * - A tool call's name has only the characters that names may have, and its id is unique in the conversation. Each call has one
 *   result, first in the message after it.
 */
import type { Block, TranscriptEntry } from "../contracts/transcript.ts";

export interface ConversationMessage {
  role: TranscriptEntry["role"];
  content: Block[];
}

const SERVER_RESULT = /_tool_result$/;
const THINKING: ReadonlySet<string> = new Set(["thinking", "redacted_thinking"]);
const RESULT_LOST = "The result of this call is not in the conversation any more. It may have taken effect.";
const NO_OUTPUT = "(no output)";
const MAX_TOOL_NAME = 128;

/** Pure. The result never has two neighbours of one role, and no message is empty. */
export function conversationOf(entries: readonly TranscriptEntry[]): ConversationMessage[] {
  const rows = entries.map(({ role, blocks }) => ({ role, content: blocks.filter((block) => !isBlank(block)) }));
  return paired(withoutOpenServerTools(rows).map(withoutThinkingAtTheEnd));
}

/** Whether the newest answer has a server tool's call that the API has still to run. */
export function hasOpenServerTool(entries: readonly TranscriptEntry[]): boolean {
  const from = entries.findLastIndex(({ role, blocks }) => role === "user" && blocks.some(isNoResult)) + 1;
  const blocks = entries.slice(from).flatMap((entry) => entry.blocks);
  const answered = new Set(blocks.filter(isServerResult).map(({ tool_use_id }) => tool_use_id));
  return blocks.some((block) => block.type === "server_tool_use" && !answered.has(block.id));
}

/** Whether the API goes on with an answer that ends like this when it is sent back with nothing added (`pause_turn`). */
export function isResumable(blocks: readonly Block[]): boolean {
  const last = blocks.findLast((block) => !THINKING.has(block.type) && !isBlank(block));
  return last === undefined || last.type === "server_tool_use" || isServerResult(last);
}

function withoutThinkingAtTheEnd({ role, content }: ConversationMessage): ConversationMessage {
  if (role === "user") return { role, content };
  return { role, content: content.slice(0, content.findLastIndex((block) => !THINKING.has(block.type)) + 1) };
}

/**
 * An answer goes on over pauses and the results of tools, up to the user's next text. With an open call, what the model thought
 * after it goes as well: it is bound to what came before it.
 */
function withoutOpenServerTools(rows: readonly ConversationMessage[]): ConversationMessage[] {
  const out: ConversationMessage[] = [];
  for (let from = 0; from < rows.length; ) {
    const ending = rows.findIndex(({ role, content }, i) => i >= from && role === "user" && content.some(isNoResult));
    const to = ending < 0 ? rows.length : ending + 1;
    out.push(...closedAnswer(rows.slice(from, to), ending >= 0));
    from = to;
  }
  return out;
}

function closedAnswer(rows: readonly ConversationMessage[], hasEnded: boolean): readonly ConversationMessage[] {
  const blocks = rows.flatMap(({ role, content }) => (role === "assistant" ? content : []));
  if (!blocks.some((block) => block.type === "server_tool_use" || isServerResult(block))) return rows;
  const open = new Map<unknown, Block>();
  const closed = new Set<Block>();
  for (const block of blocks) {
    if (block.type === "server_tool_use") open.set(block.id, block);
    const call = isServerResult(block) ? open.get(block.tool_use_id) : undefined;
    if (!call) continue;
    closed.add(call).add(block);
    open.delete(call.id);
  }
  let opened = false;
  return rows.map(({ role, content }) => {
    if (role === "user") return { role, content };
    const kept = content.filter((block) => {
      if (isServerResult(block)) return closed.has(block);
      if (block.type !== "server_tool_use") return !(opened && THINKING.has(block.type));
      const isLost = hasEnded && !closed.has(block);
      opened ||= isLost;
      return !isLost;
    });
    return { role, content: kept };
  });
}

function isNoResult(block: Block): boolean {
  return block.type !== "tool_result";
}

/**
 * Gives every tool call an id of its own and exactly one result: the one in the user's row behind it. What comes later can't be
 * told from that any more, as the row has been sent.
 */
function paired(rows: readonly ConversationMessage[]): ConversationMessage[] {
  const used = new Set<string>();
  const messages: ConversationMessage[] = [];
  const push = (role: ConversationMessage["role"], content: Block[]) => {
    if (content.length === 0) return;
    const last = messages.at(-1);
    if (last?.role === role) last.content = [...last.content, ...content];
    else messages.push({ role, content });
  };
  let open: { as: string; id: unknown }[] = [];
  for (const { role, content } of rows) {
    if (content.length === 0) continue;
    if (role === "user") {
      const results = new Map<unknown, Block>();
      for (const block of content) {
        if (block.type === "tool_result" && !results.has(block.tool_use_id)) results.set(block.tool_use_id, block);
      }
      const rest = content.filter(({ type }) => type !== "tool_result");
      push("user", [...open.map(({ as, id }) => resultFor(as, results.get(id))), ...rest]);
      open = [];
      continue;
    }
    const answer = content.map((block) => {
      if (block.type !== "tool_use") return block;
      const as = freshId(String(block.id), used);
      used.add(as);
      open.push({ as, id: block.id });
      const name = soundName(block.name);
      return as === block.id && name === block.name ? block : { ...block, id: as, name };
    });
    push("assistant", answer);
  }
  push(
    "user",
    open.map(({ as }) => resultFor(as, undefined)),
  );
  return messages;
}

function resultFor(id: string, result: Block | undefined): Block {
  if (!result) return { type: "tool_result", tool_use_id: id, content: RESULT_LOST, is_error: true };
  const blank = typeof result.content === "string" ? result.content.trim() === "" : false;
  if (result.tool_use_id === id && !blank) return result;
  return { ...result, tool_use_id: id, ...(blank ? { content: NO_OUTPUT } : {}) };
}

function freshId(id: string, used: ReadonlySet<string>): string {
  const sound = id.replace(/[^a-zA-Z0-9_-]/g, "_") || "call";
  if (!used.has(sound)) return sound;
  for (let again = 2; ; again++) {
    if (!used.has(`${sound}_${again}`)) return `${sound}_${again}`;
  }
}

/** The API takes no other names back, also of a tool that there is not. */
function soundName(name: unknown): string {
  return (
    String(name)
      .replace(/[^a-zA-Z0-9_-]/g, "_")
      .slice(0, MAX_TOOL_NAME) || "tool"
  );
}

function isServerResult(block: Block): boolean {
  return block.type !== "tool_result" && SERVER_RESULT.test(block.type);
}

function isBlank(block: Block): boolean {
  return block.type === "text" && String(block.text ?? "").trim() === "";
}
