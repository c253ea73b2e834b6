/**
 * Requests to one server: with the caller's key, a time limit a try, and tries until it answers or it is no use.
 */
import { errorOf, MadroxError } from "./error.ts";
import { pause, pauseBeforeRetry } from "./retry.ts";

export interface MadroxOptions {
  /** Where the server is, without a path of a tool. Default: `http://localhost:8001`. */
  url?: string;
  /** Sent as `Authorization: Bearer`. None for a server that is open to its own machine. */
  accessKey?: string;
  /** How often a call that failed for a passing reason is sent again. Default: 4. */
  retries?: number;
  /** Time of one try, in ms; a wait of the server takes at most 50 s of it. Default: 75,000. */
  timeoutMs?: number;
  /** In the place of the global `fetch`: a service binding's, for instance. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export class Http {
  readonly retries: number;
  readonly #base: string;
  readonly #key: string | undefined;
  readonly #timeoutMs: number;
  readonly #fetch: (url: string, init: RequestInit) => Promise<Response>;

  constructor({ url = "http://localhost:8001", accessKey, retries = 4, timeoutMs = 75_000, fetch }: MadroxOptions) {
    this.#base = url.replace(/\/+$/, "");
    this.#key = accessKey;
    this.retries = retries;
    this.#timeoutMs = timeoutMs;
    // The global one must not be called as a method of this object.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /**
   * Sends a request that may be repeated, and reads its answer with `read`, within the same try. Throws `MadroxError` for
   * every answer that is no success, and the signal's reason once that is aborted.
   */
  async request<T>(
    path: string,
    init: RequestInit,
    read: (response: Response) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      let retryAfter: string | null = null;
      let failure: MadroxError;
      try {
        const response = await this.open(path, init, within(this.#timeoutMs, signal));
        if (response.ok) return await read(response);
        retryAfter = response.headers.get("retry-after");
        failure = errorOf(response.status, await response.text());
      } catch (error) {
        signal?.throwIfAborted();
        failure = failureOf(error, this.#base);
      }
      const wait = tries > this.retries ? null : pauseBeforeRetry(failure, tries, retryAfter);
      if (wait === null) throw failure;
      await pause(wait, signal);
    }
  }

  /** Sends a request once, and gives its response whatever its status is. Rejects as `fetch` does. */
  open(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#key !== undefined) headers.set("authorization", `Bearer ${this.#key}`);
    return this.#fetch(this.#base + path, { ...init, headers, ...(signal ? { signal } : {}) });
  }
}

function within(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const limit = AbortSignal.timeout(ms);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}

/** What a try that brought no answer comes to. */
export function failureOf(error: unknown, where: string): MadroxError {
  if (error instanceof MadroxError) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new MadroxError("network_error", `${where} gave no answer (${said}). Is the server running?`, {
    cause: error,
  });
}
