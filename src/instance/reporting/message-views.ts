/**
 * How a message looks from outside at this moment: its rows, with what only the running object knows.
 */
import { isFinal, type MessageView, type News } from "../../contracts/instance.ts";
import { err, ok, type Result, unwrap } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { viewOf } from "../store/inbox.ts";
import { selfOf, standingOf } from "../store/instance-row.ts";
import type { Transcript } from "../store/transcript.ts";
import { AT_REST } from "../store/watchers.ts";

export interface MessageViewsParts {
  sql: SqlStorage;
  transcript: Transcript;
  instanceId: string;
  /** Whether the open turn waits for a slot of the concurrency limiter. */
  runner: { readonly queued: boolean };
}

export class MessageViews {
  readonly #parts: MessageViewsParts;

  constructor(parts: MessageViewsParts) {
    this.#parts = parts;
  }

  /** Message `n`. `not_found`. */
  view(n: number): Result<MessageView> {
    const { sql, transcript, instanceId, runner } = this.#parts;
    const view = viewOf(sql, transcript, instanceId, n);
    const self = selfOf(sql);
    if (!view) {
      const id = messageIdOf(instanceId, n);
      return err("not_found", `There is no message ${id}.`, { message_id: id });
    }
    // Nothing is written for a wait that is over in a moment, as a rule.
    const open = view.state === "running" || view.state === "waiting";
    const shown: MessageView =
      open && runner.queued ? { ...view, state: "waiting", waiting_for: { reason: "gate", until: null } } : view;
    return ok(self ? { ...shown, funds: standingOf(self).funds } : shown);
  }

  /** What whoever watches message `n` (or `AT_REST`: the instance's rest) is told, and whether nothing follows it. */
  newsOf(n: number): { news: News; last: boolean } {
    if (n === AT_REST) return { news: { id: this.#parts.instanceId }, last: true };
    const message = unwrap(this.view(n));
    return { news: { id: message.message_id, message }, last: isFinal(message.state) };
  }
}
