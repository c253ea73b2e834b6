/**
 * The typed client before the Worker, or before a server that fails.
 */
import { exports } from "cloudflare:workers";
import { Madrox, MadroxError, type MadroxEvent, type MadroxOptions } from "../../src/client/index.ts";
import { ORIGIN } from "./door.ts";
import { scriptModel } from "./model.ts";

export const worker = (url: string, init: RequestInit) => exports.default.fetch(new Request(url, init));

export const connect = (options: MadroxOptions = {}) => new Madrox({ url: ORIGIN, fetch: worker, ...options });

/** Scripts the model to answer each message with what stands after "say ". */
export const obey = () =>
  scriptModel(({ lastUserText }) => ({ blocks: [{ type: "text", text: lastUserText.replace(/^.*say /s, "") }] }));

/** A gate that a script waits at. */
export function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

interface Seen {
  path: string;
  headers: Headers;
  body: Record<string, unknown> | null;
}

/** A server that gives these answers in turn, then those of the real one. An `Error` stands for a connection that fails. */
export function failing(...answers: (() => Response | Error)[]) {
  const seen: Seen[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    seen.push({
      path: new URL(url).pathname,
      headers: new Headers(init.headers),
      body: typeof init.body === "string" ? JSON.parse(init.body) : null,
    });
    const next = answers.shift()?.();
    if (next instanceof Error) throw next;
    return next ?? worker(url, init);
  };
  return { fetch, seen };
}

export const failure = (error: string, status: number, more: Record<string, unknown> = {}, headers = {}) =>
  Response.json({ success: false, error, message: "No.", ...more }, { status, headers });

/** What a promise is rejected with. */
export async function rejected(promise: Promise<unknown>): Promise<MadroxError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof MadroxError) return error;
  throw new Error(`It was not rejected with a MadroxError, but: ${String(error)}`);
}

const ended = ({ data }: MadroxEvent, messageId: string) =>
  data.kind === "message.completed" && data.message_id === messageId;

/** All events up to the end of a message. */
export async function followTo(madrox: Madrox, instanceId: string, messageId: string): Promise<MadroxEvent[]> {
  const events: MadroxEvent[] = [];
  for await (const event of madrox.stream(instanceId)) {
    events.push(event);
    if (ended(event, messageId)) break;
  }
  return events;
}

/** The beginning of a response's body; then its connection breaks. */
export function cutAfter(bytes: number, { body }: Response): ReadableStream<Uint8Array> {
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  let left = bytes;
  return new ReadableStream({
    async pull(controller) {
      if (left === 0) {
        await reader.cancel();
        controller.error(new TypeError("connection reset"));
        return;
      }
      const { done, value } = await reader.read();
      if (done) {
        controller.close();
        return;
      }
      const part = value.slice(0, left);
      left -= part.length;
      controller.enqueue(part);
    },
    cancel: () => reader.cancel(),
  });
}
