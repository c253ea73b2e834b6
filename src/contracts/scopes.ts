/**
 * What a caller may do. Each scope includes the ones before it: whoever may operate may read.
 *
 * - `read`: see instances, what they said, their files, events and figures.
 * - `operate`: spawn, instruct, interrupt and end instances, write files. This spends money.
 * - `admin`: change what binds the whole tenant, and delete for good.
 */
import { MadroxError } from "../platform/errors.ts";

export const SCOPES = ["read", "operate", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}

/** Whether one of the scopes is the needed one or includes it. */
export function allows(held: readonly Scope[], needed: Scope): boolean {
  return held.some((scope) => SCOPES.indexOf(scope) >= SCOPES.indexOf(needed));
}

/** Throws `forbidden`, naming the scope that is missing. */
export function assertScope(held: readonly Scope[], needed: Scope): void {
  if (allows(held, needed)) return;
  throw new MadroxError(
    "forbidden",
    `This needs the scope ${needed}, and your access has ${held.join(", ") || "none"}. Use a key that has it, or log in again and allow it.`,
    { required_scope: needed, scopes: [...held] },
  );
}
