/**
 * One run of one tool: bounded in time and in what it gives back.
 */
import type { InstanceTool, InstanceToolContext, Waitpoint } from "../../contracts/instance-tool.ts";

const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Longest result that is given to the model, in characters: a larger one would fill its context with one call.
 * About 100,000 tokens at most.
 */
const MAX_RESULT_CHARACTERS = 200_000;

function bounded(text: string): string {
  const whole = text.toWellFormed();
  if (whole.length <= MAX_RESULT_CHARACTERS) return whole;
  const cut = whole.slice(0, MAX_RESULT_CHARACTERS).toWellFormed();
  return `${cut}\n[${whole.length - MAX_RESULT_CHARACTERS} more characters were cut off: ask for less at a time.]`;
}

/** The call was stopped from outside: whether it took effect is not known. */
class StoppedError extends Error {}

/**
 * Runs one call. Never throws: whatever goes wrong is an error result that says so. `stopped`: `context.signal` fired before there
 * was a result, and the call may have taken effect.
 */
export async function runTool(
  tool: InstanceTool | undefined,
  name: string,
  input: Record<string, unknown>,
  context: InstanceToolContext,
): Promise<{ content: string; isError: boolean } | { waitpoint: Waitpoint } | { stopped: true }> {
  if (!tool) return { content: `There is no tool named ${name}.`, isError: true };
  const limit = tool.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`The tool took longer than ${limit / 1000} s and was stopped.`)), limit);
    const cancel = () => reject(new StoppedError());
    if (context.signal.aborted) cancel();
    else context.signal.addEventListener("abort", cancel, { once: true });
  });
  try {
    const signal = AbortSignal.any([context.signal, controller.signal]);
    const result = await Promise.race([tool.run(input, { ...context, signal }), stopped]);
    if ("waitpoint" in result) return result;
    return { content: bounded(result.content), isError: result.isError ?? false };
  } catch (error) {
    if (error instanceof StoppedError) return { stopped: true };
    return { content: bounded(error instanceof Error ? error.message : String(error)), isError: true };
  } finally {
    clearTimeout(timer);
    controller.abort();
    stopped.catch(() => undefined);
  }
}
