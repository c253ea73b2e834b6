/**
 * Structured logs: one JSON line an event, with what it concerns. Never content, keys or other secrets.
 */

export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a log line may carry. Values are ids, counts, codes and durations. */
export type LogFields = Record<string, string | number | boolean | null | undefined>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warning(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** Whether lines of this level are written at all. */
  writes(level: LogLevel): boolean;
  /** The same log with fields that every line of it carries. */
  with(fields: LogFields): Log;
}

/** A log that writes lines of `level` and above to the console. */
export function createLog(level: LogLevel, base: LogFields = {}): Log {
  const threshold = LOG_LEVELS.indexOf(level);
  const write = (at: LogLevel, event: string, fields?: LogFields) => {
    if (LOG_LEVELS.indexOf(at) < threshold) return;
    const line = JSON.stringify({ time: new Date().toISOString(), level: at, event, ...base, ...fields });
    if (at === "ERROR" || at === "CRITICAL") console.error(line);
    else if (at === "WARNING") console.warn(line);
    else console.log(line);
  };
  return {
    debug: (event, fields) => write("DEBUG", event, fields),
    info: (event, fields) => write("INFO", event, fields),
    warning: (event, fields) => write("WARNING", event, fields),
    error: (event, fields) => write("ERROR", event, fields),
    writes: (at) => LOG_LEVELS.indexOf(at) >= threshold,
    with: (fields) => createLog(level, { ...base, ...fields }),
  };
}

/** Characters of an exception's message in a line, at most. */
const MAX_DESCRIPTION = 500;

/** The name and message of an exception, for a log line. A syntax error quotes what it could not read: only its name is kept. */
export function describe(error: unknown): string {
  if (error instanceof SyntaxError) return error.name;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, MAX_DESCRIPTION).toWellFormed();
}
