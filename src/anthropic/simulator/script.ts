/** Scripted behaviour: how a test says what the simulated model does next. */
import { blocksOf, isObject, type Json, messagesOf, type StopReason, type WireUsage } from "./wire.ts";

/** What a script decides on: one valid request. */
export interface ScriptCall {
  /** The parsed request. */
  readonly body: Json;
  readonly headers: Headers;
  /** The text blocks of the newest user message that has any, joined by line ends; empty when there is none. */
  readonly lastUserText: string;
  /** The tool results of the last turn; empty when it has none. */
  readonly toolResults: readonly ScriptToolResult[];
  /** How many assistant messages the conversation holds. */
  readonly step: number;
  /** How often this very body has come, this time included: 1 for the first. */
  readonly attempt: number;
  /** The number of this message request since the simulator began, from 1. */
  readonly n: number;
}

/** A tool result of the last turn, with the call that it answers. */
export interface ScriptToolResult {
  readonly toolUseId: string;
  /** The called tool's name. */
  readonly name: string;
  /** The text of the result. */
  readonly text: string;
  readonly isError: boolean;
}

/** A block that a script answers with. `raw` goes out as it is (server tools, for instance). */
export type ScriptBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly thinking?: string }
  | { readonly type: "tool_use"; readonly name: string; readonly input: Json; readonly id?: string }
  | { readonly type: "raw"; readonly block: Json };

/**
 * Something that goes wrong. `afterChars` counts characters of text, thinking and tool input; `afterBlocks` counts
 * whole blocks. Without either the fault strikes right after `message_start`, and at the latest before `message_delta`.
 */
export type Fault =
  /** An error status in place of an answer. `html` sends a proxy's page in place of the JSON body. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly type: string;
      readonly message: string;
      readonly errorCode?: string;
      readonly retryAfterSeconds?: number;
      readonly html?: boolean;
      readonly shouldRetry?: boolean;
    }
  /** `event: error` after HTTP 200. */
  | {
      readonly kind: "error_event";
      readonly type: string;
      readonly message: string;
      readonly afterBlocks?: number;
      readonly afterChars?: number;
    }
  /** A clean end without `message_stop`. */
  | { readonly kind: "eof"; readonly afterChars?: number; readonly afterBlocks?: number }
  /** Silence until the consumer goes away; with `pings`, a ping every `pingMs` (10 s unless told). */
  | {
      readonly kind: "stall";
      readonly afterChars?: number;
      readonly afterBlocks?: number;
      readonly pings?: boolean;
      readonly pingMs?: number;
    }
  /** The connection breaks: reading the body fails. */
  | { readonly kind: "reset"; readonly afterChars?: number; readonly afterBlocks?: number }
  /** The first tool call's input is not JSON. */
  | { readonly kind: "malformed_tool_json" }
  /** The last tool call's input is cut in the middle, and the message ends with `max_tokens`. */
  | { readonly kind: "cut_tool_input" };

/** One answer. */
export interface Script {
  /**
   * Without it, the default reply. A model that thinks gets an empty thinking block in front, unless the blocks hold
   * one already.
   */
  readonly blocks?: readonly ScriptBlock[];
  /** False: no thinking block is put in front. */
  readonly autoThinking?: boolean;
  /** Unless told: `tool_use` with a tool call, `end_turn` without. */
  readonly stopReason?: StopReason;
  readonly stopDetails?: Json;
  /** Wait before the first byte, in milliseconds. */
  readonly delayMs?: number;
  /** Speed of the stream; takes the place of `chunkDelayMs`. */
  readonly tokensPerSecond?: number;
  /** Wait after each delta, in milliseconds. */
  readonly chunkDelayMs?: number;
  /** Characters in one delta. */
  readonly chunkChars?: number;
  /** Overrides what was counted. */
  readonly usage?: Partial<WireUsage>;
  readonly fault?: Fault;
}

/** Decides on the answer to a valid request; undefined stands for the default reply. */
export type ScriptFunction = (call: ScriptCall) => Script | undefined | Promise<Script | undefined>;

/** The text blocks of the newest user message that has any, joined by line ends. */
export function lastUserText(body: Json): string {
  for (const message of messagesOf(body).toReversed()) {
    if (message.role !== "user") continue;
    const text = textOf(message.content);
    if (text !== "") return text;
  }
  return "";
}

/** The tool results in the last message, when it is the user's. */
export function lastToolResults(body: Json): readonly ScriptToolResult[] {
  const messages = messagesOf(body);
  const last = messages.at(-1);
  if (last?.role !== "user") return [];
  const names = new Map<unknown, string>();
  for (const block of blocksOf(messages.findLast((message) => message.role === "assistant")?.content)) {
    if (block.type === "tool_use") names.set(block.id, String(block.name));
  }
  return blocksOf(last.content).flatMap((block) =>
    block.type === "tool_result"
      ? [
          {
            toolUseId: String(block.tool_use_id),
            name: names.get(block.tool_use_id) ?? "",
            text: textOf(block.content),
            isError: block.is_error === true,
          },
        ]
      : [],
  );
}

/** How many assistant messages a conversation holds. */
export function stepOf(body: Json): number {
  return messagesOf(body).filter((message) => message.role === "assistant").length;
}

function textOf(content: unknown): string {
  return blocksOf(content)
    .flatMap((block) =>
      isObject(block) && block.type === "text" && typeof block.text === "string" ? [block.text] : [],
    )
    .join("\n");
}
