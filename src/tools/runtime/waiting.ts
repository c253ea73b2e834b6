/**
 * Waiting from outside: bounded, by reading durable rows, consuming nothing. The work goes on whether anyone waits or not.
 */

import { isFinal, type MessageView } from "../../contracts/instance.ts";
import { isFinalJob, type JobStatus } from "../../contracts/job.ts";
import { err, failureOf, type Result, unwrap } from "../../platform/errors.ts";
import { isInstanceId, isJobId, parseMessageId } from "../../platform/ids.ts";
import { describe } from "../../platform/log.ts";
import { accessTo, homeOf, outOfReach } from "./reachability.ts";
import { SuspendSignal, type Suspension } from "./suspension.ts";
import type { ToolContext } from "./tool.ts";

/** Claude's clients give a tool call 60 s and more: an answer in less than that reaches every one of them. */
export const MAX_WAIT_SECONDS = 50;

/** How often a waiting caller hears how it stands, in ms. */
const PROGRESS_MS = 5_000;
/** Before the object of an interrupted wait is asked again, in ms. */
const RETRY_MS = 100;

/** One thing that is waited for, as far as it has come. `message` for a message, `job` for a job. */
export interface Waited {
  id: string;
  kind: "message" | "instance" | "job";
  done: boolean;
  status: string;
  /** In a few words, for a caller that wants to know why it waits. */
  doing: string;
  message?: MessageView;
  job?: JobStatus;
}

/** How many of the things have to be done. */
export type Until = "all" | "any" | number;

type Context = Pick<
  ToolContext,
  "instance" | "jobApi" | "orchestrator" | "log" | "signal" | "progress" | "principal" | "relations" | "suspension"
>;

/** Where the message stands once that is final, at the latest after `waitMs`. */
export async function awaitMessage(context: Context, sent: MessageView, waitMs: number): Promise<MessageView> {
  const { suspension } = context;
  const [waited] = suspension
    ? await awaitSuspended(context, suspension, [sent.message_id], "all", waitMs)
    : await awaitFurther(context, [waitedMessage(sent)], "all", waitMs);
  return waited?.message ?? sent;
}

/**
 * Waits until as many of the things are done as asked for, at the latest `waitMs`. Returns all of them, in the order given.
 * Throws `not_found` for an id that names nothing, `invalid_input` for one that is none.
 */
export async function awaitAll(
  context: Context,
  ids: readonly string[],
  until: Until,
  waitMs: number,
): Promise<Waited[]> {
  if (context.suspension) return awaitSuspended(context, context.suspension, ids, until, waitMs);
  const deadline = Date.now() + waitMs;
  // A first look at everything: unknown ids are found before anyone waits.
  const states = await Promise.all(ids.map((id) => look(context, id, 0)));
  return awaitFurther(context, states, until, deadline - Date.now());
}

/** The same from a state that is known. */
async function awaitFurther(context: Context, states: Waited[], until: Until, waitMs: number): Promise<Waited[]> {
  const deadline = Date.now() + waitMs;
  const enough = () => isEnough(states, until);
  // What a cap has paused does not move by waiting.
  const hopeless = () => states.every((state) => state.done || state.status === "paused");
  while (!enough() && !hopeless() && Date.now() < deadline && !context.signal.aborted) {
    const roundMs = Math.min(deadline - Date.now(), PROGRESS_MS);
    let stop: () => void = () => undefined;
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
    });
    const looks = states.map(async (state, i) => {
      if (state.done || state.status === "paused") return;
      states[i] = await look(context, state.id, roundMs);
      if (enough()) stop();
    });
    await Promise.race([Promise.all(looks), stopped]);
    if (!enough()) context.progress(progressOf(states));
  }
  return states;
}

/**
 * The same for an instance: it looks once, and suspends while there is not enough. The call runs again when there is, when its time
 * is over, or when a message came in that should not wait. Throws `conflict` when the wait would close a circle.
 */
async function awaitSuspended(
  context: Context,
  suspension: Suspension,
  ids: readonly string[],
  until: Until,
  waitMs: number,
): Promise<Waited[]> {
  const deadline = suspension.startedAt + waitMs;
  const waiter = context.principal.instance ?? "";
  const states = await Promise.all(ids.map((id) => look(context, id, 0, waiter)));
  const open = states.filter((state) => !state.done && state.status !== "paused");
  if (isEnough(states, until) || open.length === 0 || suspension.wokenEarly || Date.now() >= deadline) return states;
  unwrap(
    await context.orchestrator.waitFor(waiter, [...new Set(open.map(({ id }) => homeOf(id)))], suspension.eventSeq),
  );
  const needed = neededOf(states, until) - states.filter((state) => state.done).length;
  throw new SuspendSignal({
    reason: "other instances",
    ids: open.map(({ id }) => id),
    needed: Math.min(needed, open.length),
    until: deadline,
    wakeEarly: true,
  });
}

/** How long a caller waits, in ms: one from outside for as long as a call may take, an instance for as long as it likes. */
export function patienceMs(context: Pick<ToolContext, "suspension">, seconds: number): number {
  return (context.suspension ? seconds : Math.min(seconds, MAX_WAIT_SECONDS)) * 1000;
}

function neededOf(states: readonly Waited[], until: Until): number {
  return until === "all" ? states.length : until === "any" ? 1 : Math.min(until, states.length);
}

export function isEnough(states: readonly Waited[], until: Until): boolean {
  return states.filter((state) => state.done).length >= neededOf(states, until);
}

/** How one thing stands, as soon as it is done, at the latest after `waitMs`. A `subscriber` is notified later, if it is not. */
async function look(context: Context, id: string, waitMs: number, subscriber?: string): Promise<Waited> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const left = Math.max(0, deadline - Date.now());
    let answer: Result<Waited>;
    try {
      answer = await ask(context, id, left, subscriber);
    } catch (error) {
      // The object restarted under the call. Its rows are safe, and a new stub reaches the new object.
      context.log.debug("wait.interrupted", { id, error: describe(error) });
      await new Promise((done) => setTimeout(done, RETRY_MS));
      if (left === 0) answer = await ask(context, id, 0, subscriber);
      else continue;
    }
    return unwrap(answer);
  }
}

async function ask(context: Context, id: string, waitMs: number, subscriber?: string): Promise<Result<Waited>> {
  const message = parseMessageId(id);
  if (message) {
    const instance = context.instance(message.instanceId);
    const sender = subscriber === undefined ? undefined : requiredSender(context, message.instanceId);
    const view = await (subscriber
      ? instance.subscribe(message.n, subscriber, sender)
      : instance.message(message.n, waitMs));
    // In the same words whether it is another's or not there.
    if (!view.ok) return sender === undefined ? view : { ok: false, error: failureOf(outOfReach("wait", id)) };
    return { ok: true, value: waitedMessage(view.value) };
  }
  if (isInstanceId(id)) {
    const rest = await (subscriber
      ? context.instance(id).subscribeToRest(subscriber)
      : context.instance(id).rest(waitMs));
    if (!rest.ok) return rest;
    const { resting, ended, queue_depth, working_on, paused } = rest.value;
    const status = paused ? "paused" : ended ? "terminated" : resting ? "idle" : "working";
    const doing = paused
      ? paused.message
      : working_on
        ? `working on ${working_on}, ${queue_depth} queued`
        : `${queue_depth} queued`;
    return { ok: true, value: { id, kind: "instance", done: resting, status, doing } };
  }
  if (isJobId(id)) {
    const object = context.jobApi(id);
    const job = await (subscriber ? object.subscribe(subscriber) : object.status(waitMs));
    if (!job.ok) return job;
    const done = isFinalJob(job.value.status);
    const status = done ? job.value.status : "working";
    return { ok: true, value: { id, kind: "job", done, status, doing: doingOfJob(job.value), job: job.value } };
  }
  return err(
    "invalid_input",
    `${JSON.stringify(id.slice(0, 100).toWellFormed())} is no id: wait takes ids of messages, instances and jobs.`,
    { field: "ids" },
  );
}

function waitedMessage(message: MessageView): Waited {
  const { message_id: id, state, paused } = message;
  const done = isFinal(state);
  const status = paused ? "paused" : done || state === "queued" ? state : "working";
  return { id, kind: "message", done, status, doing: doingOf(message), message };
}

/** Whose a message to this instance has to be, for an instance to wait for it: its own, outside its subtree; undefined: anybody's. */
function requiredSender({ relations, principal }: Context, receiver: string): string | undefined {
  const isBelow = relations !== undefined && accessTo("wait", relations.to[receiver] ?? "stranger") === "yes";
  return isBelow ? undefined : (principal.instance ?? undefined);
}

function doingOfJob({ steps }: JobStatus): string {
  const open = steps.filter((step) => step.status === "queued" || step.status === "running");
  const first = open[0];
  const more = open.length > 1 ? ` and ${open.length - 1} more` : "";
  return `${steps.length - open.length} steps done${first ? `, ${first.step} of ${first.name}${more} under way` : ""}`;
}

function doingOf(view: MessageView): string {
  if (view.paused) return view.paused.message;
  if (view.waiting_for) {
    const until = view.waiting_for.until ? ` until ${view.waiting_for.until}` : "";
    return `waiting: ${view.waiting_for.reason}${until}`;
  }
  return view.state === "queued" ? "queued behind other messages" : view.state === "running" ? "working" : view.state;
}

/** What a waiting caller reads between two rounds. */
function progressOf(states: readonly Waited[]): string {
  const pending = states.filter((state) => !state.done);
  const first = pending[0];
  if (states.length === 1 && first) return first.doing;
  return `${states.length - pending.length} of ${states.length} done; ${first?.id}: ${first?.doing}`;
}
