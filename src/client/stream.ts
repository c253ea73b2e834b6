/**
 * Following a server's live stream over as many connections as it takes: each event once, in order.
 */
import { errorOf, MadroxError, objectOf } from "./error.ts";
import { failureOf, type Http } from "./http.ts";
import { pause, pauseBeforeRetry } from "./retry.ts";
import { framesOf } from "./sse.ts";

/** One event of a stream. `id` is where to go on after it. */
export interface MadroxEvent {
  id: string;
  /** `status`, `text`, `output` or `restart` for an instance; the kind of what happened in the event log. */
  event: string;
  data: Record<string, unknown>;
}

export interface StreamOptions {
  /** The id of the last event that is known: the stream goes on after it. Default: from the beginning. */
  after?: string;
  /** Ends the stream: the loop over it throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** The server says something at least every 10 s; after this silence the connection counts as dead. */
const SILENCE_MS = 30_000;
/** Before a connection that the server ended is opened again, in ms: one that brought something, and one that did not. */
const RECONNECT_MS = 100;
const RECONNECT_IDLE_MS = 5_000;

/**
 * The events at `path`, from connection to connection. Ends when its reader leaves, or when the server ended a connection
 * and `over` says that there will be no more. Throws `MadroxError` when the server
 * refuses, or can't be reached for as many tries in a row as the client's retries.
 */
export async function* follow(
  http: Http,
  path: string,
  options: StreamOptions,
  over: () => Promise<boolean> = async () => false,
): AsyncGenerator<MadroxEvent, void, void> {
  let last = options.after;
  for (let failed = 0; ; ) {
    const silence = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, silence.signal]) : silence.signal;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Error(`nothing for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
    };
    let failure: MadroxError | null = null;
    let brought = false;
    let retryAfter: string | null = null;
    try {
      heard();
      const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
      const response = await http.open(path, { headers }, signal);
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
      if (!response.ok || !response.body || !isStream) {
        retryAfter = response.headers.get("retry-after");
        failure = errorOf(response.status, await response.text());
      } else {
        for await (const frame of framesOf(response.body, heard, signal)) {
          failed = 0;
          brought = true;
          if (frame.id === null) continue;
          last = frame.id;
          yield { id: frame.id, event: frame.event, data: dataOf(frame.data) };
        }
        signal.throwIfAborted();
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof MadroxError) throw error;
      failure = failureOf(error, path);
    } finally {
      clearTimeout(timer);
    }
    options.signal?.throwIfAborted();
    if (failure === null) {
      if (await over()) return;
      await pause(brought ? RECONNECT_MS : RECONNECT_IDLE_MS, options.signal);
      continue;
    }
    failed += 1;
    const wait = failed > http.retries ? null : pauseBeforeRetry(failure, failed, retryAfter);
    if (wait === null) throw failure;
    await pause(wait, options.signal);
  }
}

function dataOf(text: string): Record<string, unknown> {
  const data = objectOf(text);
  if (!data)
    throw new MadroxError("bad_answer", "The stream has an event that is no JSON object.", { details: { text } });
  return data;
}
