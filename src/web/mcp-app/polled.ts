/**
 * Something that is asked for again and again while somebody looks: the host pushes nothing.
 */
import { useCallback, useEffect, useRef, useState } from "react";
import { ServerError } from "../shared/server.ts";
import { REFUSED } from "./answer.ts";
import { useLooking } from "./looking.ts";

export interface Polled<T> {
  data: T | null;
  /** Why the last try brought nothing; what was there before stays. */
  error: ServerError | null;
  /** When `data` came. */
  at: number | null;
  /** Asks at once. */
  refresh: () => void;
}

const RETRY_MS = 4_000;
const LONGEST_MS = 60_000;

/**
 * @param load has to stay the same function while it asks for the same
 * @param paceMs how long to wait after an answer
 */
export function usePolled<T>(load: () => Promise<T>, paceMs: (data: T) => number): Polled<T> {
  const looking = useLooking();
  const [state, setState] = useState<Omit<Polled<T>, "refresh">>({ data: null, error: null, at: null });
  const [wanted, setWanted] = useState(0);
  const pace = useRef(paceMs);
  pace.current = paceMs;

  // `wanted` is why it asks at once.
  useEffect(() => {
    if (!looking) return;
    let gone = false;
    let failures = 0;
    let timer: ReturnType<typeof setTimeout>;
    const round = async () => {
      let wait: number | null;
      try {
        const data = await load();
        failures = 0;
        wait = pace.current(data);
        if (!gone) setState({ data, error: null, at: Date.now() });
      } catch (error) {
        const refusal = error instanceof ServerError ? error : new ServerError("internal", String(error), 0);
        // Who has refused once is not asked again and again: the visitor may, with `refresh`.
        wait = refusal.code === REFUSED ? null : Math.min(LONGEST_MS, RETRY_MS * 2 ** failures++);
        if (!gone) setState((before) => ({ ...before, error: refusal }));
      }
      if (!gone && wait !== null) timer = setTimeout(() => void round(), wait);
    };
    void round();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [load, looking, wanted]);

  return { ...state, refresh: useCallback(() => setWanted((before) => before + 1), []) };
}
