import type { InstanceState } from "./records.ts";
import { STATE_WORDS } from "./wording.ts";

const SHAPES: Record<InstanceState, string> = {
  initializing: "M8 3.500a4.500 4.500 0 0 1 4.500 4.500",
  idle: "",
  busy: "M8 4.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z",
  waiting: "M8 4.800V8l2.200 1.600",
  paused: "M6.500 5.500v5M9.500 5.500v5",
  error: "M8 4.800v3.700M8 10.900v.1",
  terminated: "M5.800 5.800l4.400 4.400M10.200 5.800l-4.400 4.400",
};

/** How an instance stands: a shape of its own and the word for it, so that it does not hang on colour. */
export function StateMark({ state, bare = false }: { state: InstanceState; bare?: boolean }) {
  return (
    <span className="state" data-state={state}>
      <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        <circle className="ring" cx="8" cy="8" r="6.500" />
        <path d={SHAPES[state]} />
      </svg>
      <span className={bare ? "visually-hidden" : undefined}>{STATE_WORDS[state]}</span>
    </span>
  );
}
