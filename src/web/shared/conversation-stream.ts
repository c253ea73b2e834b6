/**
 * An instance's turns as they happen, read from its stream of server-sent events. The stream ends while the instance rests
 * and when a connection breaks; it is opened again after the last event that came, and what comes twice counts once.
 */
import { useEffect, useState } from "react";
import type { OutputRow } from "./records.ts";
import { ask, ServerError } from "./server.ts";

/** The answer that is being written. */
export interface Writing {
  message_id: string;
  text: string;
}

export interface Conversation {
  rows: readonly OutputRow[];
  writing: Writing | null;
  /** The first look at the stream is done. */
  loaded: boolean;
  error: ServerError | null;
}

const RETRY_MS = 1_500;
const NEW: Conversation = { rows: [], writing: null, loaded: false, error: null };

/** What one event makes of the conversation. Pure. */
export function after(before: Conversation, event: string, data: Record<string, unknown>): Conversation {
  const message = String(data.message_id);
  switch (event) {
    case "text": {
      const known = before.writing?.message_id === message ? before.writing.text : "";
      return { ...before, writing: { message_id: message, text: known + String(data.text) } };
    }
    case "restart":
      return { ...before, writing: null };
    case "output": {
      const row = data as unknown as OutputRow;
      const last = before.rows.at(-1);
      if (last && row.message_index <= last.message_index) return before;
      // Whatever the model said is whole now; a message that somebody sends meanwhile is none of that.
      return { ...before, rows: [...before.rows, row], writing: row.type === "user" ? before.writing : null };
    }
    case "status": {
      const over = ["message.cancelled", "message.failed", "message.refused"].includes(String(data.kind));
      return over && before.writing?.message_id === message ? { ...before, writing: null } : before;
    }
    default:
      return before;
  }
}

/** `wake` changes when the instance has done something: a stream that ended at rest is then opened again. */
export function useConversation(instanceId: string, wake: number | string): Conversation {
  const [conversation, setConversation] = useState(NEW);
  const [reader] = useState(() => new StreamReader(instanceId, (change) => setConversation(change)));
  useEffect(() => {
    reader.start();
    return () => reader.stop();
  }, [reader]);
  // `wake` is why it is opened again.
  useEffect(() => reader.wake(), [reader, wake]);
  return conversation;
}

type Change = (before: Conversation) => Conversation;

class StreamReader {
  readonly #path: string;
  readonly #change: (change: Change) => void;
  #cursor = "0";
  #gone: AbortController | null = null;
  /** Set while the stream is open, and once more is known to come. */
  #reading = false;
  #again = false;

  constructor(instanceId: string, change: (change: Change) => void) {
    this.#path = `/instances/${instanceId}/events`;
    this.#change = change;
  }

  start(): void {
    this.#gone = new AbortController();
    this.wake();
  }

  stop(): void {
    this.#gone?.abort();
    this.#gone = null;
  }

  wake(): void {
    this.#again = true;
    const gone = this.#gone;
    if (!gone || this.#reading) return;
    this.#reading = true;
    void this.#run(gone.signal).finally(() => {
      this.#reading = false;
      if (this.#again && this.#gone && !this.#gone.signal.aborted) this.wake();
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (this.#again && !signal.aborted) {
      this.#again = false;
      try {
        await this.#read(signal);
        this.#change((before) => ({ ...before, loaded: true, error: null }));
      } catch (error) {
        if (signal.aborted) return;
        const refusal =
          error instanceof ServerError ? error : new ServerError("unreachable", "The stream has broken off.", 0);
        if (refusal.code !== "unreachable")
          return this.#change((before) => ({ ...before, loaded: true, error: refusal }));
        await new Promise((done) => setTimeout(done, RETRY_MS));
        this.#again = true;
      }
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const response = await ask(this.#path, { signal, headers: { "last-event-id": this.#cursor } });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return;
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const frames = (rest + part.value).split("\n\n");
      rest = frames.pop() ?? "";
      const heard = frames.flatMap((frame) => eventIn(frame) ?? []);
      this.#cursor = heard.at(-1)?.id ?? this.#cursor;
      this.#change((before) =>
        heard.reduce((now, { event, data }) => after(now, event, data), {
          ...before,
          loaded: before.loaded || heard.length > 0 || frames.some((frame) => frame.startsWith(":")),
        }),
      );
    }
  }
}

function eventIn(frame: string): { id: string; event: string; data: Record<string, unknown> } | null {
  const fields = new Map(
    frame.split("\n").map((line): [string, string] => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }),
  );
  const [id, event, data] = [fields.get("id"), fields.get("event"), fields.get("data")];
  if (id === undefined || event === undefined || data === undefined) return null;
  return { id, event, data: JSON.parse(data) as Record<string, unknown> };
}
