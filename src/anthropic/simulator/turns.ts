/** The checks on `messages`: roles, blocks, and that every tool call is answered exactly once, at once, and first. */
import { own } from "../../platform/own.ts";
import { invalid, isObject, type Json } from "./wire.ts";

/** Keys that a block may have, for the blocks that clients write themselves. Others are not looked into. */
const BLOCK_KEYS: Readonly<Record<string, readonly string[]>> = {
  text: ["type", "text", "cache_control", "citations"],
  thinking: ["type", "thinking", "signature"],
  redacted_thinking: ["type", "data"],
  tool_use: ["type", "id", "name", "input", "cache_control", "caller", "toolset_name"],
  tool_result: ["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"],
  image: ["type", "source", "cache_control", "transformations"],
  document: ["type", "source", "cache_control", "citations", "context", "title"],
};

const USER_BLOCKS = ["text", "image", "document", "search_result", "tool_result", "container_upload"];
const SERVER_RESULT =
  /^(web_search|web_fetch|code_execution|bash_code_execution|text_editor_code_execution|tool_search)_tool_result$/;
const RESULT_PARTS = ["text", "image", "document", "search_result", "tool_reference", "browser_state"];
const TOOL_USE_ID = /^[a-zA-Z0-9_-]+$/;

/** A block with its place. */
interface Placed {
  readonly block: Json;
  readonly at: string;
}

/** Neighbouring messages of one role. */
interface Turn {
  readonly role: string;
  readonly first: number;
  readonly blocks: Placed[];
}

/** Checks a non-empty list of messages; throws a `Rejection`. */
export function checkMessages(messages: readonly unknown[], betas: readonly string[], compacting = false): void {
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    const role = checkMessage(message, index, betas);
    let turn = turns.at(-1);
    if (turn?.role !== role) {
      turn = { role, first: index, blocks: [] };
      turns.push(turn);
    }
    turn.blocks.push(...blocksAt(message, index));
  }
  checkToolPairs(turns);
  checkServerTools(turns);
  checkEndings(turns);
  const last = turns.at(-1);
  if (!compacting && last?.role === "assistant" && !isPaused(last)) {
    throw invalid(
      "This model does not support assistant message prefill. The conversation must end with a user message.",
    );
  }
}

/**
 * An assistant turn that ended in `pause_turn` ends in a server tool's call or result, and may be sent back as it is.
 */
function isPaused(turn: Turn): boolean {
  const type = String(turn.blocks.at(-1)?.block.type);
  return type === "server_tool_use" || SERVER_RESULT.test(type);
}

function blocksAt(message: unknown, index: number): Placed[] {
  if (!isObject(message)) return [];
  const { content } = message;
  if (typeof content === "string") return [{ block: { type: "text", text: content }, at: `messages.${index}.content` }];
  if (!Array.isArray(content)) return [];
  return content.filter(isObject).map((block, i) => ({ block, at: `messages.${index}.content.${i}` }));
}

function checkMessage(message: unknown, index: number, betas: readonly string[]): string {
  const at = `messages.${index}`;
  if (!isObject(message)) throw invalid(`${at}: Input should be a valid dictionary`);
  const { role, content } = message;
  if (role !== "user" && role !== "assistant" && role !== "system") {
    throw invalid(`${at}.role: Input should be 'user', 'assistant' or 'system'`);
  }
  const extra = Object.keys(message).find((key) => key !== "role" && key !== "content");
  if (extra && !betas.some((beta) => beta.startsWith("mid-conversation-"))) {
    throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
  }
  if (content === undefined) throw invalid(`${at}.content: Field required`);
  if (typeof content === "string") {
    if (content === "") throw invalid(`${at}: ${role} messages must have non-empty content`);
    checkText({ type: "text", text: content }, `${at}.content`, role !== "assistant");
    return role;
  }
  if (!Array.isArray(content)) throw invalid(`${at}.content: Input should be a valid string or list`);
  if (content.length === 0) throw invalid(`${at}: ${role} messages must have non-empty content`);
  for (const [i, block] of content.entries()) checkBlock(block, role, `${at}.content.${i}`);
  return role;
}

function checkBlock(block: unknown, role: string, at: string): void {
  if (!isObject(block)) throw invalid(`${at}: Input should be a valid dictionary`);
  const type = String(block.type);
  if (role === "system" && type !== "text") throw invalid(`${at}: system messages may contain text blocks only`);
  if (role === "user" && !USER_BLOCKS.includes(type)) {
    throw invalid(`${at}: \`${type}\` blocks are not allowed in user messages`);
  }
  if (role === "assistant" && USER_BLOCKS.includes(type) && type !== "text") {
    throw invalid(`${at}: \`${type}\` blocks are not allowed in assistant messages`);
  }
  const keys = own(BLOCK_KEYS, type);
  if (
    !keys &&
    !USER_BLOCKS.includes(type) &&
    type !== "server_tool_use" &&
    type !== "compaction" &&
    !SERVER_RESULT.test(type)
  ) {
    throw invalid(`${at}: Input tag '${type}' found using 'type' does not match any of the expected tags`);
  }
  const extra = keys && Object.keys(block).find((key) => !keys.includes(key));
  if (extra) throw invalid(`${at}.${type}.${extra}: Extra inputs are not permitted`);
  if (type === "text") checkText(block, at, role !== "assistant");
  else if (type === "thinking") checkThinkingBlock(block, at);
  else if (type === "tool_use") checkToolUse(block, at);
  else if (type === "tool_result") checkToolResult(block, at);
}

/** Checks a text block: some text, not only space, and citations only where Claude wrote them. */
export function checkText(block: Json, at: string, written: boolean): void {
  if (typeof block.text !== "string") throw invalid(`${at}.text.text: Field required`);
  if (block.text === "") throw invalid(`${at}: text content blocks must be non-empty`);
  if (block.text.trim() === "") throw invalid(`${at}: text content blocks must contain non-whitespace text`);
  if (written && block.citations !== undefined && block.citations !== null) {
    throw invalid(`${at}.text.citations: \`citations\` are only allowed in assistant messages`);
  }
}

function checkThinkingBlock(block: Json, at: string): void {
  if (typeof block.thinking !== "string") throw invalid(`${at}.thinking.thinking: Field required`);
  if (typeof block.signature !== "string") throw invalid(`${at}.thinking.signature: Field required`);
}

function checkToolUse(block: Json, at: string): void {
  if (typeof block.id !== "string" || !TOOL_USE_ID.test(block.id)) {
    throw invalid(`${at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
  }
  if (typeof block.name !== "string" || !/^[a-zA-Z0-9_-]{1,200}$/.test(block.name)) {
    throw invalid(`${at}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'`);
  }
  if (!isObject(block.input)) throw invalid(`${at}.tool_use.input: Input should be a valid dictionary`);
}

function checkToolResult(block: Json, at: string): void {
  if (typeof block.tool_use_id !== "string") throw invalid(`${at}.tool_result.tool_use_id: Field required`);
  if (block.is_error !== undefined && typeof block.is_error !== "boolean") {
    throw invalid(`${at}.tool_result.is_error: Input should be a valid boolean`);
  }
  const { content } = block;
  if (content === undefined || typeof content === "string") return;
  if (!Array.isArray(content)) throw invalid(`${at}.tool_result.content: Input should be a valid string or list`);
  for (const [i, part] of content.entries()) {
    const where = `${at}.tool_result.content.${i}`;
    if (!isObject(part) || !RESULT_PARTS.includes(String(part.type))) {
      throw invalid(
        `${where}: Input tag '${isObject(part) ? String(part.type) : ""}' does not match any of the expected tags`,
      );
    }
    if (part.type === "text") checkText(part, where, true);
  }
}

/** A search that was begun has its result before the user says anything but the results of other tools. */
function checkServerTools(turns: readonly Turn[]): void {
  const open = new Map<unknown, Placed>();
  for (const turn of turns) {
    for (const placed of turn.blocks) {
      const { block, at } = placed;
      if (block.type === "server_tool_use") open.set(block.id, placed);
      else if (block.type !== "tool_result" && SERVER_RESULT.test(String(block.type))) {
        if (!open.delete(block.tool_use_id) && turn.role === "assistant") {
          throw invalid(
            `${at}: unexpected \`tool_use_id\` found in \`${String(block.type)}\` blocks: ${String(block.tool_use_id)}.`,
          );
        }
      } else if (turn.role === "user" && block.type !== "tool_result" && open.size > 0) {
        const [first] = open.values();
        throw invalid(
          `${first?.at}: \`${String(first?.block.name)}\` tool use with id ${String(first?.block.id)} was found without a corresponding \`${String(first?.block.name)}_tool_result\` block`,
        );
      }
    }
  }
}

function checkEndings(turns: readonly Turn[]): void {
  for (const turn of turns) {
    const last = turn.role === "assistant" ? turn.blocks.at(-1) : undefined;
    if (last && /^(redacted_)?thinking$/.test(String(last.block.type))) {
      throw invalid(`${last.at}: The final block in an assistant message cannot be \`${String(last.block.type)}\`.`);
    }
  }
}

function checkToolPairs(turns: readonly Turn[]): void {
  const seen = new Set<string>();
  for (const [number, turn] of turns.entries()) {
    const calls = turn.role === "assistant" ? turn.blocks.filter(({ block }) => block.type === "tool_use") : [];
    for (const { block, at } of calls) {
      if (seen.has(String(block.id))) throw invalid(`${at}: \`tool_use\` ids must be unique`);
      seen.add(String(block.id));
    }
    const next = turns[number + 1];
    if (calls.length > 0) {
      const answered = new Set(leadingResults(next).map(({ block }) => block.tool_use_id));
      const open = calls.map(({ block }) => String(block.id)).filter((id) => !answered.has(id));
      if (open.length > 0) {
        throw invalid(
          `messages.${turn.first}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${open.join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
        );
      }
    }
    if (turn.role === "user") checkResults(turn, turns[number - 1]);
  }
}

/** The results that stand at the beginning of a user turn: only there do they count. */
function leadingResults(turn: Turn | undefined): readonly Placed[] {
  if (turn?.role !== "user") return [];
  const end = turn.blocks.findIndex(({ block }) => block.type !== "tool_result");
  return end < 0 ? turn.blocks : turn.blocks.slice(0, end);
}

function checkResults(turn: Turn, previous: Turn | undefined): void {
  const called = new Set(
    (previous?.role === "assistant" ? previous.blocks : [])
      .filter(({ block }) => block.type === "tool_use")
      .map(({ block }) => block.id),
  );
  const answered = new Set<unknown>();
  for (const { block, at } of turn.blocks) {
    if (block.type !== "tool_result") continue;
    const id = block.tool_use_id;
    if (!called.has(id)) {
      throw invalid(
        `${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`,
      );
    }
    if (answered.has(id)) {
      throw invalid(
        `${at}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${String(id)}`,
      );
    }
    answered.add(id);
  }
}
