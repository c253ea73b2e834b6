/**
 * What tools can do. Every tool declares its powers; what needs leave and what an instance may hand on is decided on them and not on
 * names, because one power has many names.
 *
 * - `read`: see files, conversations, answers, the tree.
 * - `write`: change files.
 * - `execute`: run scripts and programs.
 * - `spawn`: start and end instances.
 * - `network`: reach a server outside.
 * - `message`: tell another instance something, or stop what it does.
 * - `spend`: cause model calls, or other paid ones, beyond its own turn.
 */
export const POWERS = ["read", "write", "execute", "spawn", "network", "message", "spend"] as const;
export type Power = (typeof POWERS)[number];

export function isPower(name: string): name is Power {
  return (POWERS as readonly string[]).includes(name);
}

/** The powers that go beyond a limit, in the order of `POWERS`. */
export function powersBeyond(powers: readonly Power[], most: readonly Power[]): Power[] {
  return POWERS.filter((power) => powers.includes(power) && !most.includes(power));
}

/** A tool, or one call of it, as guards see it. */
export interface Guardable {
  name: string;
  powers: readonly Power[];
}

/**
 * Whether a call needs leave. A guard is a power, and then holds for every tool that has it; or a tool's name, and then holds for
 * every tool that can do all that this one can: whoever may write a file only with leave can't have it written by a script.
 * `powersOf`: the powers of a tool that a guard names, which need not be one of the instance's own.
 */
export function isGuarded(
  guards: readonly string[],
  { name, powers }: Guardable,
  powersOf: (tool: string) => readonly Power[],
): boolean {
  return guards.some((guard) => {
    if (guard === name) return true;
    if (isPower(guard)) return powers.includes(guard);
    const guarded = powersOf(guard);
    return guarded.length > 0 && powersBeyond(guarded, powers).length === 0;
  });
}
