/**
 * Instances that do what a test says: a turn makes the calls that it was told, with the instance's own tools, and then ends. What
 * the model was answered is what the test gets.
 */
import { afterEach, beforeEach } from "vitest";
import { type Json, send, until } from "./door.ts";
import { installModel, type ModelServer, type ScriptCall, scriptModel } from "./model.ts";

export interface ToolUse {
  name: string;
  input: Record<string, unknown>;
}

/** A turn under way. */
interface Act {
  messageId: string;
  /** What the calls were answered, in their order, as soon as all of them were. */
  results(): Promise<Json[]>;
}

interface Actors {
  model: ModelServer;
  /** Has an instance make these calls in one step, and does not wait for it. */
  begin(instanceId: string, ...calls: ToolUse[]): Promise<Act>;
  /** Has an instance make one call, and returns what it was answered. */
  act(instanceId: string, name: string, input: Record<string, unknown>): Promise<Json>;
}

/** Puts the scripted model in place, for one test file. */
export function installActors(): Actors {
  const model = installModel();
  // Read by asking again: a promise can't be settled from within another object.
  const plans = new Map<string, { calls: ToolUse[]; results?: Json[] }>();
  beforeEach(() => {
    plans.clear();
    scriptModel((call) => {
      const plan = plans.get(newestMarker(call) ?? "");
      if (!plan) return undefined;
      if (call.toolResults.length === 0)
        return { blocks: plan.calls.map((made) => ({ type: "tool_use" as const, ...made })) };
      plan.results = call.toolResults.map(({ text, isError }) => parsed(text, isError));
      return { blocks: [{ type: "text", text: "done" }] };
    });
  });
  afterEach(() => scriptModel(() => undefined));

  const begin: Actors["begin"] = async (instanceId, ...calls) => {
    const marker = `act-${crypto.randomUUID()}`;
    const plan: { calls: ToolUse[]; results?: Json[] } = { calls };
    plans.set(marker, plan);
    const sent = await send(instanceId, marker, { wait_for_response: false });
    if (!sent.success) throw new Error(sent.message);
    return { messageId: String(sent.message_id), results: () => until(async () => plan.results) };
  };
  return {
    model,
    begin,
    async act(instanceId, name, input) {
      const turn = await begin(instanceId, { name, input });
      const [result] = await turn.results();
      if (!result) throw new Error(`${name} gave no answer.`);
      return result;
    },
  };
}

/** In what the instance was told: what it read may have the markers of other turns. */
function newestMarker(call: ScriptCall): string | undefined {
  const told = (call.body.messages as { role: string; content: string | { type: string; text?: string }[] }[])
    .filter(({ role }) => role === "user")
    .flatMap(({ content }) => (typeof content === "string" ? [content] : content.map(({ text = "" }) => text)));
  return [...told.join("\n").matchAll(/act-[0-9a-f-]{36}/g)].at(-1)?.[0];
}

/** A tool of the catalogue answers in JSON; of others the text is the message. */
function parsed(text: string, isError: boolean): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "success" in value) return value as Json;
  } catch {
    // Not JSON: text for the model.
  }
  return { success: !isError, message: text };
}
