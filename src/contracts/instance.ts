/**
 * What an instance can be asked, by the tools and by its Orchestrator.
 */

import type { Failure, Result } from "../platform/errors.ts";
import type { AuditedCall } from "./audited-call.ts";
import type { CallCounts, Unhealthy } from "./instance-spec.ts";
import type { Funds } from "./records.ts";
import type { Origin } from "./request-origin.ts";
import type { WorkspaceHost } from "./workspace-rpc.ts";

/** `waiting` is not final: the turn is open and waits for something (`waiting_for`). The last four are final. */
export const MESSAGE_STATES = ["queued", "running", "waiting", "completed", "failed", "cancelled", "refused"] as const;
export type MessageState = (typeof MESSAGE_STATES)[number];

export function isFinal(state: MessageState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled" || state === "refused";
}

/**
 * What happens to a message for an instance that is at work. `queue`: it waits its turn. `steer`: it joins the running turn
 * after its next tool calls, or is queued if there are none. `interrupt`: the running turn is stopped, and this is next.
 * `reject`: `conflict`.
 */
export const WHEN_BUSY = ["queue", "steer", "interrupt", "reject"] as const;
export type WhenBusy = (typeof WHEN_BUSY)[number];

export interface SendRequest extends Origin {
  message: string;
  /** `user`, or the id of the instance that sends. */
  sender: string;
  /** Orders the queue: higher first, then in the order of sending. */
  priority: number;
  when_busy: WhenBusy;
  /** A JSON Schema for the answer; null for free text. */
  response_schema: Record<string, unknown> | null;
  /** Who sends, as the model is told, when that is an instance. */
  sender_title?: string;
  /** Starts no turn of its own: it is read with the running or the next one. `when_busy` does not matter. */
  passive?: boolean;
  /** An object that is notified of the message: its id. As with `subscribe`. */
  subscriber?: string;
  /** The coordinated task that the message belongs to: its turn counts against that one's cap too. */
  job?: string | null;
  /** The sender's `traceparent`: the turn is part of that trace. */
  trace?: string | null;
}

/** Something of a `response_schema` that was not checked: where it stands, as a JSON pointer in a fragment, and why. */
export interface Unchecked {
  path: string;
  reason: string;
}

/** The final answer to a message. Times ISO 8601, cost USD, tokens fresh ones of the whole turn. */
export interface MessageResponse {
  message_id: string;
  response: string;
  /** The answer as JSON, where a schema was asked for. It follows the schema, but for what `unchecked` names. */
  structured?: unknown;
  /** `#`: nothing was checked, and `structured` is missing. */
  unchecked?: readonly Unchecked[];
  timestamp: string;
  tokens_used: number;
  cost: number;
  truncated?: true;
  simulated?: true;
}

/** The state of a message. `response` once completed, `error` once it failed, was refused or cancelled. */
export interface MessageView {
  message_id: string;
  created_at: string;
  state: MessageState;
  waiting_for?: { reason: string; until: string | null };
  /** A cap holds the turn up: which, and what is left. Raising it makes the turn go on. */
  paused?: Failure;
  /** USD: what its turn has cost so far, once it has begun. */
  cost?: number;
  /** What the instance has spent, and what is left for it. */
  funds?: Funds;
  response?: MessageResponse;
  error?: Failure;
}

export const OUTPUT_TYPES = ["user", "response", "progress", "tool_call", "tool_result", "notice"] as const;
export type OutputType = (typeof OUTPUT_TYPES)[number];

/** One thing that an instance received, said or did. Tokens and cost are those of the model call that the row ends. */
export interface OutputRow {
  message_index: number;
  message_id: string;
  type: OutputType;
  content: string;
  timestamp: string;
  tokens_used: number;
  cost: number;
  /** It broke off (an interruption, a lost connection): its end never came. */
  cut?: true;
  /** The simulator said it, not a model. */
  simulated?: true;
}

export interface OutputQuery {
  /** ms since the epoch; rows of this time and later */
  since: number | null;
  /** Rows after this message_index. */
  after: number | null;
  limit: number;
}

export interface OutputPage {
  rows: OutputRow[];
  /** The message_index to go on from, or null at the end. */
  next: number | null;
}

/** What a subscriber is notified of. `message` for a message; without it the instance or job `id` has come to its end or to rest. */
export interface Notification {
  id: string;
  message?: MessageView;
}

export interface Subscriber {
  notify(notification: Notification): Promise<void>;
}

/** `status`: a change of state. `output`: a row as in get_instance_output. `text`: more of a running answer; `restart`: it is written anew. */
export interface StreamEvent {
  id: string;
  event: "status" | "output" | "text" | "restart";
  data: Record<string, unknown>;
}

export interface Followed {
  events: StreamEvent[];
  /** Where to go on. */
  cursor: string;
}

/** An answer to a question. `by`: `user`, or the instance that answers. */
export interface GivenAnswer extends Origin {
  answer: string;
  by: string;
}

/** What an instance finds when it looks at itself. Times ISO 8601. */
export interface Checkup {
  reachable: true;
  working: boolean;
  /** Since when the running turn works, and when it last committed a step. */
  turn_started_at: string | null;
  last_step_at: string | null;
  queue_depth: number;
  unreported_events: number;
  /** Its newest model calls. */
  last_calls: CallCounts;
  unhealthy: Unhealthy | null;
  next_alarm_at: string | null;
}

/** What was deleted with an instance. `kept_objects`: of its files, those that were in R2. */
export interface Erased {
  messages: number;
  files: number;
  bytes: number;
  kept_objects: number;
}

/** Whether an instance is at rest: nothing runs, nothing is queued. */
export interface Rest {
  resting: boolean;
  ended: boolean;
  queue_depth: number;
  /** The message whose turn is open. */
  working_on: string | null;
  /** The cap that has paused the turn: waiting does not raise it. Null: none. */
  paused: Failure | null;
}

/** `files`: a call to the instance's workspace; what changes something is a `conflict` once the instance has ended. */
export interface InstanceApi extends WorkspaceHost, Subscriber {
  /** Takes over spec and initial prompt. */
  wake(): Promise<void>;
  /** Ends the instance. Queued messages are cancelled; `force` stops the running turn too. Repeatable. */
  stop(request: { force: boolean }): Promise<void>;
  /** Accepts a message durably. `not_found`, `conflict` (terminated; a key of another request). */
  send(request: SendRequest): Promise<Result<MessageView>>;
  /** Message `n`, as soon as it is final, at the latest after `waitMs`. `not_found`. */
  message(n: number, waitMs: number): Promise<Result<MessageView>>;
  /**
   * Message `n` as it is now; `subscriber` (an instance or a job) is notified once it is final or paused by a cap. `not_found`. With
   * `sender`: only a message that this one sent, else `forbidden`.
   */
  subscribe(n: number, subscriber: string, sender?: string): Promise<Result<MessageView>>;
  /** Whether the instance is at rest; if not, `subscriber` is notified once it is. */
  subscribeToRest(subscriber: string): Promise<Result<Rest>>;
  /** Deletes the conversation of an instance that has ended. Its kept files stay; `conflict` while they are on their way. */
  forget(): Promise<Result<null>>;
  /** Whether the instance is at rest, as soon as it is, at the latest after `waitMs`. */
  rest(waitMs: number): Promise<Result<Rest>>;
  /** Stops the running turn and waits until it has stopped. Returns the messages that this cancelled. */
  interrupt(reason: string, origin?: Origin): Promise<Result<string[]>>;
  /** Cancels message `n`: takes it out of the queue, or stops its turn. One that has ended stays as it is. */
  cancel(n: number, reason: string, audit?: AuditedCall): Promise<Result<MessageView>>;
  /** What comes after a cursor (see live.ts), as soon as there is anything, at the latest after `waitMs`. */
  follow(cursor: string, waitMs: number): Promise<Result<Followed & { resting: boolean }>>;
  /**
   * Answers question `n` of the instance. `not_found`, `forbidden` for a caller who was not asked (see question-policy.ts), `conflict`
   * when it is no longer open, `invalid_input` for none of its options.
   */
  answer(n: number, given: GivenAnswer): Promise<Result<{ question_id: string; answer: string }>>;
  output(query: OutputQuery): Promise<Result<OutputPage>>;
  checkup(): Promise<Result<Checkup>>;
  /** Deletes everything of an instance that has ended, for good; else `conflict`. Repeatable: then there is less left. */
  erase(): Promise<Result<Erased>>;
}
