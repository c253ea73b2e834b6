import * as z from "zod";
import type { JobStatus } from "../contracts/job.ts";
import { MadroxError } from "../platform/errors.ts";
import { isJobId, ulid } from "../platform/ids.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";
import { awaitAll, isEnough, MAX_WAIT_SECONDS, patienceMs, type Until, type Waited } from "./runtime/waiting.ts";

/** Ids in one call, at most. */
const MAX_IDS = 500;
/** Characters of all answers together as JSON, at most: a client cuts longer results off. What is left out stays readable. */
const ANSWER_BUDGET = 60_000;

export const wait = defineTool({
  name: "wait",
  title: "Wait for messages, instances and jobs",
  description: `Wait until messages have their answers, instances are at rest, or jobs are over: all of the ids, any, or a number of them; at most ${MAX_WAIT_SECONDS} s a call. It consumes nothing: call it again for what is pending, as often as needed.`,
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    ids: z.array(z.string().max(100)).min(1).max(MAX_IDS).describe("message_ids, instance_ids and job_ids"),
    until: z
      .union([z.enum(["all", "any"]), z.int().min(1)])
      .default("all")
      .describe("How many of them: all, any, or a number"),
    timeout_seconds: z
      .number()
      .min(0)
      .default(30)
      .describe(`More than ${MAX_WAIT_SECONDS} counts as ${MAX_WAIT_SECONDS}`),
  }),
  output: answer({ done: z.array(z.looseObject({})), pending: z.array(z.looseObject({})) }),
  forInstances: {
    touches: (input) => input.ids.flatMap((id) => touching(isJobId(id) ? "job" : "wait", id)),
    description:
      "Wait until messages that you sent have their answers, instances below you are at rest, or jobs that you started are over: all of the ids, any, or a number of them. Waiting costs nothing. It comes back early when a message for you comes in.",
  },
  async run(context, input) {
    const ids = [...new Set(input.ids)];
    assertUntilFits(input.until, ids.length);
    return waitAnswer(await awaitAll(context, ids, input.until, patienceMs(context, input.timeout_seconds)));
  },
  async begin(context, input) {
    const ids = [...new Set(input.ids)];
    assertUntilFits(input.until, ids.length);
    const states = await awaitAll(context, ids, input.until, 0);
    if (input.timeout_seconds === 0 || isEnough(states, input.until)) return waitAnswer(states);
    const task = { task_id: `wait_${ulid()}`, ids, until: input.until, created_at: Date.now(), cancelled: false };
    await context.orchestrator.saveTask(task);
    return { taskId: task.task_id, createdAt: new Date(task.created_at).toISOString() };
  },
});

/** Throws `invalid_input` for a number that can never be reached. */
function assertUntilFits(until: Until, count: number): void {
  if (typeof until !== "number" || until <= count) return;
  throw new MadroxError("invalid_input", `until is ${until}, but there are only ${count} different ids.`, {
    field: "until",
  });
}

/** How everything that is waited for stands, in the words of the public contract. */
export function waitAnswer(states: readonly Waited[]) {
  const done = states.filter((state) => state.done);
  const pending = states.filter((state) => !state.done);
  const budget = Math.floor(ANSWER_BUDGET / Math.max(1, done.length));
  return {
    success: true,
    message:
      pending.length === 0
        ? "Everything is done."
        : `${done.length} of ${states.length} are done. Call wait again for the pending ones; the work goes on meanwhile.`,
    done: done.map((state) => ({ id: state.id, kind: state.kind, status: state.status, ...resultOf(state, budget) })),
    pending: pending.map((state) => ({
      id: state.id,
      kind: state.kind,
      status: state.status,
      doing: state.doing,
      ...(state.message?.waiting_for ? { waiting_for: state.message.waiting_for } : {}),
    })),
  };
}

function resultOf({ message, job }: Waited, budget: number) {
  if (job) return resultOfJob(job, budget);
  if (message?.error) return { error: message.error.code, message: message.error.message };
  const response = message?.response;
  if (!response) return {};
  if (JSON.stringify(response).length <= budget) return { response };
  // Whatever is parsed stands in the text too: the text alone is cut.
  const { structured: _structured, ...plain } = response;
  const room = budget - JSON.stringify({ ...plain, response: "" }).length;
  return {
    response: { ...plain, response: cutToJson(plain.response, Math.max(0, room)) },
    more: `The answer has ${response.response.length} characters: get_instance_output has it whole.`,
  };
}

function resultOfJob({ result, error }: JobStatus, budget: number) {
  const failure = error ? { error: error.code, message: error.message } : {};
  if (!result) return failure;
  if (JSON.stringify(result).length <= budget) return { ...failure, result };
  const cut = { summary: result.summary === null ? null : cutToJson(result.summary, budget) };
  return { ...failure, result: cut, more: "get_job_status has more of it." };
}

/** The longest beginning of a text that takes at most `room` characters as JSON, without its quotes. */
export function cutToJson(text: string, room: number): string {
  const size = (length: number) => JSON.stringify(text.slice(0, length)).length - 2;
  let fits = 0;
  let over = Math.min(text.length, room) + 1;
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    if (size(middle) <= room) fits = middle;
    else over = middle;
  }
  // Half a character is left out.
  return text.slice(0, fits).replace(/[\uD800-\uDBFF]$/, "");
}
