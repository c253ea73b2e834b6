/** Operations of the sandbox: files and waiting. */
import { host } from "./host.ts";

type Answer = { value: unknown; error?: undefined } | { error: string; code: string | null };

/** Performs one. Rejects with an `Error` that carries the operation's `code`, if it has one (ENOENT). */
export async function call(operation: string, ...args: unknown[]): Promise<unknown> {
  const answer = JSON.parse(await host.call(operation, JSON.stringify(args))) as Answer;
  if (answer.error === undefined) return answer.value;
  throw Object.assign(new Error(answer.error), answer.code === null ? {} : { code: answer.code });
}
