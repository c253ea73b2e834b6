/**
 * A model of the tests that calls an instance's tools, and what they gave.
 */
import { expect } from "vitest";
import { send } from "./door.ts";
import { scriptModel } from "./model.ts";

export interface Call {
  name: string;
  input: Record<string, unknown>;
}

export interface Result {
  text: string;
  isError: boolean;
}

/** A model that makes the calls of each round at once, one round after the other, and then says what they gave. Returns the results. */
export async function useInRounds(id: string, ...rounds: Call[][]): Promise<Result[]> {
  const results: Result[] = [];
  const marker = crypto.randomUUID();
  let round = 0;
  scriptModel((call) => {
    if (!JSON.stringify(call.body.messages).includes(marker)) return undefined;
    results.push(...call.toolResults.map(({ text, isError }) => ({ text, isError })));
    const calls = rounds[round++] ?? [];
    if (calls.length === 0) return { blocks: [{ type: "text", text: "Done." }] };
    return { blocks: calls.map((next) => ({ type: "tool_use", ...next })) };
  });
  const answer = await send(id, `Work on ${marker}.`, { timeout_seconds: 50 });
  expect(answer).toMatchObject({ success: true, status: "completed" });
  return results;
}

/** A model that makes these calls, one after the other, and then says what they gave. Returns the results. */
export const use = (id: string, ...calls: Call[]) => useInRounds(id, ...calls.map((call) => [call]));
