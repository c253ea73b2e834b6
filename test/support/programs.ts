/**
 * Instances that each follow a program of their own, told apart by a marker in what they were told first.
 */
import { expect } from "vitest";
import { type Json, status, until } from "./door.ts";
import { type Script, type ScriptCall, saying } from "./model.ts";

export const programs = new Map<string, (call: ScriptCall) => Script | undefined | Promise<Script | undefined>>();

let names = 0;

/** A word that no other conversation has. */
export const marker = () => `job-${++names}-${crypto.randomUUID().slice(0, 8)}`;

export const using = (...calls: { name: string; input: Record<string, unknown> }[]): Script => ({
  blocks: calls.map((call) => ({ type: "tool_use", ...call })),
});

/** The answers of the last step's tools. */
export const results = (call: ScriptCall) =>
  call.toolResults.map(({ text }) => {
    try {
      return JSON.parse(text) as Json;
    } catch {
      return { success: true, message: text } as Json;
    }
  });

export const result = (call: ScriptCall) => results(call)[0] ?? expect.fail("There is no tool result.");

export const waitingFor = (id: string, reason: string) =>
  until(async () => {
    const record = await status(id);
    return record.state === "waiting" && (record.waiting_for as { reason: string }).reason === reason;
  });

/** A child whose answer comes when the test says so. */
export function heldChild(): { name: string; answer: (text: string) => void } {
  const name = marker();
  let release: (text: string) => void = () => undefined;
  const told = new Promise<string>((resolve) => {
    release = resolve;
  });
  programs.set(name, async () => saying(await told));
  return { name, answer: release };
}
