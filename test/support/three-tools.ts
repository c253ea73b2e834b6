/**
 * A turn of three tools, its rows, and how an instance comes to rest when nobody asks it.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { status, tool, until } from "./door.ts";
import type { Script, ScriptCall } from "./model.ts";
import { objectOf } from "./objects.ts";

/** A lookup and a charge at once, then a slow tool, then the answer; anything else is answered plainly. */
export function script(call: ScriptCall): Script | undefined {
  if (!call.lastUserText.startsWith("Three tools")) return undefined;
  const value = "for you";
  switch (call.toolResults[0]?.name ?? "") {
    case "":
      return {
        blocks: [
          { type: "text", text: "Let me see." },
          { type: "tool_use", name: "lookup", input: { value } },
          { type: "tool_use", name: "charge", input: { value } },
        ],
      };
    case "slow":
      return { blocks: [{ type: "text", text: "All three are done." }] };
    default:
      return { blocks: [{ type: "tool_use", name: "slow", input: { value: "5" } }] };
  }
}

export interface Rows {
  transcript: { role: string; blocks: Record<string, unknown>[] }[];
  self: Record<string, number>;
  live: Record<string, number>;
}

export function rowsOf(id: string): Promise<Rows> {
  return runInDurableObject(objectOf(id), (_instance, { storage: { sql } }) => {
    const count = (query: string) => sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${query}`).one().n;
    return {
      transcript: sql
        .exec<{ role: string; text: string }>(
          "SELECT role, text FROM transcript JOIN transcript_part USING (seq) WHERE omitted = 0 ORDER BY seq, part",
        )
        .toArray()
        .map(({ role, text }) => ({ role, blocks: JSON.parse(text) as Record<string, unknown>[] })),
      self: sql
        .exec<Record<string, number>>(
          `SELECT request_count, completed_count, error_count, tokens_input, tokens_output, tokens_cache_read,
             tokens_cache_write, cost_nano, queued FROM instance`,
        )
        .one(),
      live: {
        attempts: count("model_call WHERE outcome = 'live'"),
        calls: count("tool_call WHERE state <> 'done'"),
        messages: count("message WHERE state NOT IN ('completed', 'failed', 'cancelled', 'refused')"),
        turns: count("instance WHERE open_n IS NOT NULL"),
        unreported: count("event WHERE seq > (SELECT reported_seq FROM instance)"),
      },
    };
  });
}

/** Waits until the registry says that the instance is at rest. The instance itself is not asked: only its alarm is run. */
export async function restsByItsAlarm(id: string, requests: number): Promise<void> {
  await until(async () => {
    const record = await status(id);
    if (record.state === "idle" && Number(record.request_count) >= requests && record.queue_depth === 0) return true;
    await runDurableObjectAlarm(objectOf(id));
    return false;
  }, 10_000);
}

/** The ids of all instances with this name. */
export async function named(name: string): Promise<string[]> {
  const found: string[] = [];
  let cursor: unknown;
  do {
    const page = await tool("get_instance_status", { limit: 500, ...(cursor ? { cursor } : {}) });
    const { instances } = page.status as { instances: Record<string, { name: string }> };
    for (const [id, record] of Object.entries(instances)) if (record.name === name) found.push(id);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}
