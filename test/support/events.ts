/**
 * Event streams as a reader follows them.
 */
import { runInDurableObject } from "cloudflare:test";
import { expect } from "vitest";
import type { Instance } from "../../src/instance/instance.ts";
import type { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { request } from "./door.ts";
import { type Script, saying } from "./model.ts";

export interface Event {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

/** What a stream sends, event by event. Ends with the stream; leaving the loop goes away from it. */
export async function* streamOf(path: string, lastEventId?: string): AsyncGenerator<Event> {
  const response = await request(path, lastEventId === undefined ? {} : { headers: { "last-event-id": lastEventId } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
        if (fields.id !== undefined) yield { id: fields.id, event: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    await reader?.cancel();
  }
}

export const eventsOf = (id: string, lastEventId?: string) => streamOf(`/instances/${id}/events`, lastEventId);

/** The whole stream, through as many connections as needed, until this many messages have ended. */
export async function follow(
  id: string,
  messages: number,
  leave: () => boolean = () => false,
  from?: string,
): Promise<Event[]> {
  const seen: Event[] = [];
  const over = () => seen.filter((event) => isEnd(event)).length >= messages;
  while (!over()) {
    for await (const event of eventsOf(id, seen.at(-1)?.id ?? from)) {
      seen.push(event);
      if (over() || leave()) break;
    }
  }
  return seen;
}

export const isEnd = ({ data }: Event) => /^message\.(completed|failed|cancelled|refused)$/.test(String(data.kind));

/** What a reader has of the answer to a message: text put together, begun anew at each restart and with each step. */
export function readText(events: readonly Event[], messageId: unknown): string {
  let text = "";
  let step: unknown;
  for (const { event, data } of events) {
    if (data.message_id !== messageId || (event !== "text" && event !== "restart")) continue;
    if (event === "restart" || data.step !== step) text = "";
    step = data.step;
    if (event === "text") text += data.text;
  }
  return text;
}

export const kinds = (events: readonly Event[]) =>
  events.map(({ event, data }) => (event === "status" ? data.kind : event));

export const LONG = Array.from({ length: 40 }, (_, i) => `Line ${i}: bees — 🐝 and more.\n`).join("");

export const slowly = (text: string, chunkDelayMs = 10): Script => ({ ...saying(text), chunkChars: 25, chunkDelayMs });

/** Ends an object at once, with whatever it is doing. Others go on, among them what the last test waits for. */
export async function kill(object: DurableObjectStub<Instance> | DurableObjectStub<Orchestrator>): Promise<void> {
  await runInDurableObject(object as DurableObjectStub, (_instance, state) => state.abort("killed")).catch(
    () => undefined,
  );
}
