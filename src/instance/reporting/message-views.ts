/**
 * How a message looks from outside at this moment: its rows, with what only the running object knows.
 */
import {
  isFinal,
  type MessageResponse,
  type MessageState,
  type MessageView,
  type Notification,
  type Unchecked,
} from "../../contracts/instance.ts";
import { err, type Failure, ok, type Result, unwrap } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { first, type Row } from "../../platform/sqlite.ts";
import { NANO_PER_USD } from "../../platform/units.ts";
import { effectiveLimits, instanceRow } from "../store/instance-row.ts";
import { INSTANCE_REST } from "../store/subscriptions.ts";
import { suspendedUntil } from "../store/tool-calls.ts";
import { type Transcript, textOf } from "../store/transcript.ts";

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
    const instance = instanceRow(sql);
    if (!view) {
      const id = messageIdOf(instanceId, n);
      return err("not_found", `There is no message ${id}.`, { message_id: id });
    }
    // Nothing is written for a wait that is over in a moment, as a rule.
    const open = view.state === "running" || view.state === "waiting";
    const shown: MessageView =
      open && runner.queued ? { ...view, state: "waiting", waiting_for: { reason: "gate", until: null } } : view;
    return ok(instance ? { ...shown, funds: effectiveLimits(instance).funds } : shown);
  }

  /** What subscribers to message `n` (or `INSTANCE_REST`: the instance's rest) are notified of, and whether nothing follows it. */
  notificationOf(n: number): { notification: Notification; last: boolean } {
    if (n === INSTANCE_REST) return { notification: { id: this.#parts.instanceId }, last: true };
    const message = unwrap(this.view(n));
    return { notification: { id: message.message_id, message }, last: isFinal(message.state) };
  }
}

interface MessageRow extends Row {
  n: number;
  state: MessageState;
  created_at: number;
  finished_at: number | null;
  error: string | null;
  not_before: number | null;
  waiting_reason: string | null;
  paused: string | null;
  tokens_fresh: number | null;
  cost_nano: number | null;
  simulated: number | null;
  truncated: number | null;
  structured: string | null;
  unchecked: string | null;
  response_index: number | null;
  turn_n: number | null;
}

const isoOrNull = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

/** How message `n` looks from outside, or null when there is none. */
function viewOf(sql: SqlStorage, transcript: Transcript, instanceId: string, n: number): MessageView | null {
  const row = first<MessageRow>(
    sql,
    `SELECT m.n, m.state, m.created_at, m.finished_at, m.error, t.not_before, t.waiting_reason, t.paused, t.tokens_fresh, t.cost_nano, t.simulated,
       t.truncated, t.structured, t.unchecked, t.response_index, t.n AS turn_n
     FROM message m LEFT JOIN turn t ON t.n = COALESCE(m.joined_n, m.n) WHERE m.n = ?`,
    n,
  );
  if (!row) return null;
  const view: MessageView = {
    message_id: messageIdOf(instanceId, n),
    created_at: new Date(row.created_at).toISOString(),
    state: row.state,
  };
  if (row.state === "waiting" && row.waiting_reason) {
    view.waiting_for = {
      reason: row.waiting_reason,
      until: isoOrNull(row.not_before ?? suspendedUntil(sql, row.turn_n ?? row.n)),
    };
  }
  if (row.cost_nano !== null) view.cost = row.cost_nano / NANO_PER_USD;
  if (row.paused) view.paused = JSON.parse(row.paused) as Failure;
  if (row.error) view.error = JSON.parse(row.error) as Failure;
  if (row.state === "completed") view.response = responseOf(sql, transcript, row, view.message_id);
  return view;
}

function responseOf(sql: SqlStorage, transcript: Transcript, row: MessageRow, messageId: string): MessageResponse {
  const output =
    row.response_index === null
      ? undefined
      : first<{ seq: number | null }>(sql, "SELECT seq FROM output WHERE message_index = ?", row.response_index);
  const entry = output?.seq ? transcript.entry(output.seq) : undefined;
  return {
    message_id: messageId,
    response: entry ? textOf(entry.blocks) : "",
    ...(row.structured ? { structured: JSON.parse(row.structured) as unknown } : {}),
    ...(row.unchecked ? { unchecked: JSON.parse(row.unchecked) as Unchecked[] } : {}),
    timestamp: new Date(row.finished_at ?? 0).toISOString(),
    tokens_used: row.tokens_fresh ?? 0,
    cost: (row.cost_nano ?? 0) / NANO_PER_USD,
    ...(row.truncated ? { truncated: true as const } : {}),
    ...(row.simulated ? { simulated: true as const } : {}),
  };
}
