/**
 * Something read from the server, again whenever `version` changes, but not more often than its pace. What was read stays
 * shown meanwhile.
 */
import { useEffect, useRef, useState } from "react";
import { read, ServerError } from "../shared/server.ts";

export interface Resource<T> {
  data: T | null;
  error: ServerError | null;
}

const RETRY_MS = 3_000;

export function useResource<T>(path: string, version: number | string, paceMs = 400): Resource<T> {
  const [state, setState] = useState<Resource<T> & { path: string }>({ data: null, error: null, path });
  const reader = useRef<Reader | null>(null);

  useEffect(() => {
    const made = new Reader(paceMs, async (signal) => {
      try {
        const data = await read<T>(path, signal);
        if (!signal.aborted) setState({ data, error: null, path });
        return true;
      } catch (error) {
        if (signal.aborted) return true;
        const refusal = error instanceof ServerError ? error : new ServerError("internal", String(error), 0);
        setState((before) => ({ data: before.path === path ? before.data : null, error: refusal, path }));
        return refusal.code !== "unreachable";
      }
    });
    reader.current = made;
    made.want();
    return () => made.stop();
  }, [path, paceMs]);

  const asked = useRef(version);
  useEffect(() => {
    if (asked.current === version) return;
    asked.current = version;
    reader.current?.want();
  }, [version]);

  return state.path === path ? state : { data: null, error: null };
}

/** Reads at once when nothing was read lately, and once more after the pace when it was wanted meanwhile. */
class Reader {
  readonly #paceMs: number;
  /** Whether that is settled; false: try again. */
  readonly #load: (signal: AbortSignal) => Promise<boolean>;
  readonly #gone = new AbortController();
  #busy = false;
  #wanted = false;

  constructor(paceMs: number, load: (signal: AbortSignal) => Promise<boolean>) {
    this.#paceMs = paceMs;
    this.#load = load;
  }

  want(): void {
    this.#wanted = true;
    if (!this.#busy) void this.#run();
  }

  stop(): void {
    this.#gone.abort();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#wanted && !this.#gone.signal.aborted) {
      this.#wanted = false;
      const settled = await this.#load(this.#gone.signal);
      if (!settled) this.#wanted = true;
      await new Promise((done) => setTimeout(done, settled ? this.#paceMs : RETRY_MS));
    }
    this.#busy = false;
  }
}
