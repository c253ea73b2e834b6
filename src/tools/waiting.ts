/**
 * Waiting for a message from outside: bounded, by reading durable rows. The work goes on whether anyone waits or not.
 */
import { unwrap } from "../errors.ts";
import { parseMessageId } from "../ids.ts";
import { isFinal, type MessageView } from "../instance/api.ts";
import { describe } from "../log.ts";
import type { ToolContext } from "./tool.ts";

/** Claude's clients give a tool call 60 s and more: an answer in less than that reaches every one of them. */
export const MAX_WAIT_SECONDS = 50;

/** How often a waiting caller hears how it stands, in ms. */
const PROGRESS_MS = 5_000;

/** Where the message stands once that is final, at the latest after `waitMs`. */
export async function awaitMessage(context: ToolContext, sent: MessageView, waitMs: number): Promise<MessageView> {
  const id = parseMessageId(sent.message_id);
  if (!id) return sent;
  const deadline = Date.now() + waitMs;
  let view = sent;
  for (;;) {
    const left = deadline - Date.now();
    if (left <= 0 || isFinal(view.state) || context.signal.aborted) return view;
    try {
      view = unwrap(await context.instance(id.instanceId).message(id.n, Math.min(left, PROGRESS_MS)));
    } catch (error) {
      // The object restarted under the call. The message is safe in it; a new stub reaches the new one.
      context.log.debug("wait.interrupted", { message_id: sent.message_id, error: describe(error) });
      await new Promise((done) => setTimeout(done, 100));
    }
    if (!isFinal(view.state)) context.progress(progressOf(view));
  }
}

function progressOf(view: MessageView): string {
  if (view.waiting_for) {
    const until = view.waiting_for.until ? ` until ${view.waiting_for.until}` : "";
    return `waiting: ${view.waiting_for.reason}${until}`;
  }
  return view.state === "queued" ? "queued behind other messages" : "working";
}
