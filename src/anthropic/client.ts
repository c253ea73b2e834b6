/**
 * The Messages API as the turn runner sees it: one call, one reply, with a watchdog. Without a key the simulator answers,
 * through the same SDK and the same checks.
 */
import { BaseAnthropic } from "@anthropic-ai/sdk/client";
import {
  type MessageCreateParamsStreaming,
  Messages,
  type RawMessageStreamEvent,
} from "@anthropic-ai/sdk/resources/messages";
import type { Config } from "../contracts/config.ts";
import { CutOffError, StalledError } from "./failure.ts";
import { type Reply, ReplyBuilder } from "./reply.ts";
import { createSimulator, type Simulator } from "./simulator/simulator.ts";

/** Only the resource that is used: the SDK's full client would add 46 KB (gzip) to the Worker. */
class MessagesClient extends BaseAnthropic {
  readonly messages: Messages = new Messages(this);
}

export interface CallOptions {
  signal: AbortSignal;
  /** Beta features that the body uses. */
  betas?: readonly string[];
  /** Each event as it arrives, after the reply has taken it in. */
  onEvent?: (event: RawMessageStreamEvent, reply: Reply, requestId: string | null) => void;
}

export interface Claude {
  /** Whether the simulator answers. */
  readonly simulated: boolean;
  /**
   * One model call. Resolves with the whole reply; throws what `classify` understands, `CutOffError` and `StalledError`
   * included. Never retries.
   */
  call(body: MessageCreateParamsStreaming, options: CallOptions): Promise<{ reply: Reply; requestId: string | null }>;
}

let simulator: Simulator | undefined;

/** One simulator an isolate: its simulated prompt cache is shared, as the real one is. */
function sharedSimulator(chunkDelayMs: number): Simulator {
  simulator ??= createSimulator({ chunkDelayMs });
  return simulator;
}

/** The client for this deployment's key and address. */
export function createClaude(config: Config): Claude {
  const simulated = config.anthropicApiKey === null;
  const transport: typeof fetch = simulated
    ? (input, init) => sharedSimulator(config.simulatorChunkDelayMs).handle(new Request(input, init))
    : (input, init) => fetch(input, init);
  const client = new MessagesClient({
    apiKey: config.anthropicApiKey ?? "simulated",
    baseURL: simulated ? "https://simulator.invalid" : (config.anthropicBaseUrl ?? "https://api.anthropic.com"),
    maxRetries: 0,
    // The watchdog counts, also before the response's headers: the SDK's own limit must not come first.
    timeout: config.modelIdleTimeoutMs + 10_000,
    openTelemetry: false,
    logLevel: "off",
    fetch: transport,
    ...(config.aiGatewayToken ? { defaultHeaders: { "cf-aig-authorization": `Bearer ${config.aiGatewayToken}` } } : {}),
  });

  return {
    simulated,
    async call(body, { signal, betas = [], onEvent }) {
      const watchdog = new Watchdog(config.modelIdleTimeoutMs, signal);
      const builder = new ReplyBuilder();
      try {
        const { data: stream, response } = await client.messages
          .create(body, {
            signal: watchdog.signal,
            ...(betas.length > 0 ? { headers: { "anthropic-beta": betas.join(",") } } : {}),
            middleware: [async (request, next) => watchdog.guard(await next(request))],
          })
          .withResponse();
        const requestId = response.headers.get("request-id");
        for await (const event of stream) {
          builder.add(event);
          onEvent?.(event, builder.reply, requestId);
          // The answer is whole and its usage final, whatever the connection does from here on: leaving the loop cancels the body.
          if (builder.reply.complete) return { reply: builder.reply, requestId };
        }
        if (watchdog.stalled) throw new StalledError("no data");
        throw new CutOffError("the stream ended before message_stop");
      } catch (error) {
        if (watchdog.stalled) throw new StalledError(`nothing came for ${config.modelIdleTimeoutMs / 1000} s`);
        throw error;
      } finally {
        watchdog.stop();
      }
    },
  };
}

/**
 * Aborts a call that has been silent for too long. It sits below the SDK, which keeps pings to itself. One timer,
 * re-armed only when it fires, so a chunk costs nothing.
 */
class Watchdog {
  stalled = false;
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #limitMs: number;
  #touched = Date.now();
  #timer: ReturnType<typeof setTimeout>;

  constructor(limitMs: number, outer: AbortSignal) {
    this.#limitMs = limitMs;
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
    this.#timer = setTimeout(() => this.#check(), limitMs);
  }

  /** The response, with every chunk of its body counted as a sign of life. */
  guard(response: Response): Response {
    this.#touched = Date.now();
    if (!response.body) return response;
    const reader = response.body.getReader();
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await reader.read();
          this.#touched = Date.now();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
    return new Response(body, response);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #check(): void {
    const left = this.#touched + this.#limitMs - Date.now();
    if (left > 0) {
      this.#timer = setTimeout(() => this.#check(), left);
      return;
    }
    this.stalled = true;
    this.#controller.abort(new StalledError("silence"));
  }
}
