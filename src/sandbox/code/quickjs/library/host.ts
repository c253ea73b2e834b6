/**
 * What the sandbox hands to these modules, which is all that they can reach of the world outside their engine. The program
 * never sees it: it is taken away from the global object before the program begins.
 */
export interface Host {
  /** JSON of `Facts`. */
  readonly facts: string;
  /** Writes to standard output (1) or standard error (2). */
  out(stream: 1 | 2, text: string): void;
  /** Ends the program with this status at the next chance. */
  exit(status: number): void;
  /** Ends a `sleep` early. */
  wake(timer: number): void;
  /** Starts an operation, its arguments as a JSON array. Resolves with JSON: `{value}`, or `{error, code}`. */
  call(operation: string, args: string): Promise<string>;
  /** Who is told of an error that nothing caught. */
  onUncaught(report: (error: unknown) => void): void;
}

export interface Facts {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
}

const scope = globalThis as { __host?: Host };

/** Absent where these modules run without a sandbox: in the tests of those that need none. */
export const host = scope.__host as Host;
delete scope.__host;
