/**
 * An instance that is busy with a turn, and what its conversation came to.
 */
import { expect } from "vitest";
import { request, send, tool, until } from "./door.ts";
import { installModel, type Script, type ScriptCall, saying } from "./model.ts";

const model = installModel();

/** What the model is told of a message that was stopped before it was answered. */
export const STOPPED = "[This was stopped before it was answered. Do not go on with it unless you are asked to.]";

export const using = (name: string, value: string): Script => ({
  blocks: [{ type: "tool_use", name, input: { value } }],
});

interface Block {
  type: string;
  text?: string;
  content?: string;
}

/** A conversation in short: one line a message, what it says in order. */
export function inShort(messages: unknown): string[] {
  return (messages as { role: string; content: Block[] }[]).map(({ role, content }) => {
    const parts = content.flatMap((block) => {
      if (block.type === "text") return [String(block.text)];
      if (block.type === "tool_result") return [`<${block.content}>`];
      return block.type === "tool_use" ? ["<call>"] : [];
    });
    return `${role}: ${parts.join(" | ")}`;
  });
}

/** The conversation of the newest model call about a text. */
export function newestAbout(text: string): string[] {
  return inShort(model.callsAbout(text).at(-1)?.messages ?? []);
}

/** Starts a turn and resolves once the model was asked. */
export async function startTurn(id: string, message: string): Promise<string> {
  const { message_id } = await send(id, message, { wait_for_response: false });
  await until(async () => model.callsAbout(message).length > 0);
  return String(message_id);
}

export const done = async (...ids: unknown[]) => {
  const answer = await tool("wait", { ids, timeout_seconds: 20 });
  expect(answer.pending).toEqual([]);
  return answer.done as { status: string; error?: string; response?: Record<string, unknown> }[];
};

/** A turn that calls one tool for `ms` and then answers; everything else is answered with "Re: " and its text. */
export const working =
  (marker: string, ms = 300) =>
  (call: ScriptCall) =>
    call.lastUserText === marker && call.toolResults.length === 0
      ? using("slow", String(ms))
      : saying(`Re: ${call.lastUserText.split("\n").at(-1)}`);

/** Resolves once the instance's live stream has shown `text`. */
export async function streamed(id: string, text: string): Promise<void> {
  const { body } = await request(`/instances/${id}/events`);
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let seen = ""; !seen.includes(text); ) {
    const { value, done: ended } = (await reader?.read()) ?? { done: true };
    if (ended) throw new Error(`The stream ended without ${text}.`);
    seen += value;
  }
  await reader?.cancel();
}

let unique = 0;

/** A text that no other test has. */
export const about = (text: string) => `${text} (${++unique})`;
