/**
 * What the view opens with, by the call that it stands beside. Pure.
 */
import type { HostState } from "./host.ts";

export interface Opening {
  /** As on the dashboard, below its address: `/`, or an instance's page. */
  path: string;
  /** The top of the tree; null: all instances. */
  root: string | null;
}

/** Null while the call has not said enough. */
export function openingOf({ input, answer, answered }: HostState): Opening | null {
  if (input === null) return answered ? { path: "/", root: null } : null;
  if (typeof input.instance_id === "string") return { path: `/instances/${input.instance_id}`, root: null };
  if (typeof input.root_id === "string") return { path: "/", root: input.root_id };
  // A team has its top only when it is there.
  if (typeof input.template === "string" && !answered) return null;
  const { supervisor } = (answer ?? {}) as { supervisor?: { instance_id?: unknown } };
  return { path: "/", root: typeof supervisor?.instance_id === "string" ? supervisor.instance_id : null };
}
