/**
 * The settings of a server on this machine: what .dev.vars says, and before it the environment, as `npm start` passes them on.
 */
import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";

export function settings(): Readonly<Record<string, string | undefined>> {
  const file = existsSync(".dev.vars") ? parseEnv(readFileSync(".dev.vars", "utf8")) : {};
  return { ...file, ...process.env };
}
