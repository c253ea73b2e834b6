/** just-bash with a meter in it: made by `npm run engine:shell`, see scripts/meter-shell.ts. */
import type { Bash, defineCommand, getCommandNames, InMemoryFs, MountableFs } from "just-bash/browser";

/** Whom the interpreter's code asks. */
export interface ShellHost {
  /** Called when there is nothing left on the meter, with what was used since the last time. Returns how much there is; may throw. */
  refill(used: number): number;
  /** Whether it is time to call `pause`, which is called between two commands. */
  readonly due: boolean;
  pause(): Promise<void>;
  /** Told of the error for a regular expression that RE2 does not take, which some commands keep to themselves. Returns it. */
  refused(error: Error): Error;
}

export interface Shell {
  Bash: typeof Bash;
  InMemoryFs: typeof InMemoryFs;
  MountableFs: typeof MountableFs;
  defineCommand: typeof defineCommand;
  getCommandNames: typeof getCommandNames;
  /** What was used on the meter since it was last asked. */
  used(): number;
  /** Takes what is on the meter off it: at its next step the host is asked. */
  reset(): void;
}

/** An interpreter with a meter of its own. */
export function createShell(host: ShellHost): Shell;
