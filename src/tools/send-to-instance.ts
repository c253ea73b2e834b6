import * as z from "zod";
import { isFinal, type MessageView, WHEN_BUSY } from "../contracts/instance.ts";
import { schemaProblem } from "../instance/turn/structured-output.ts";
import { type Failure, MadroxError } from "../platform/errors.ts";
import { assertSize, idempotencyKey, instanceId, prose, simulated } from "./runtime/fields.ts";
import { deliver } from "./runtime/message.ts";
import { accessTo, homeOf, touching } from "./runtime/reachability.ts";
import { ADDS, answer, defineTool, type ToolContext } from "./runtime/tool.ts";
import { awaitMessage, MAX_WAIT_SECONDS, patienceMs } from "./runtime/waiting.ts";

const messageResponse = z.looseObject({
  message_id: z.string(),
  response: z.string(),
  structured: z.unknown().optional(),
  unchecked: z
    .array(z.looseObject({ path: z.string(), reason: z.string() }))
    .optional()
    .describe("What of response_schema was not checked; #: nothing was, and structured is missing"),
  timestamp: z.string(),
  tokens_used: z.number(),
  cost: z.number(),
  simulated,
});

const sendInput = z.strictObject({
  instance_id: instanceId,
  message: prose().describe("What to tell it"),
  wait_for_response: z.boolean().default(true),
  timeout_seconds: z
    .number()
    .min(0)
    .default(30)
    .describe(`How long to wait for the answer; more than ${MAX_WAIT_SECONDS} counts as ${MAX_WAIT_SECONDS}`),
  priority: z.int().min(-1000).max(1000).default(0).describe("Orders its queue: higher first"),
  when_busy: z
    .enum(WHEN_BUSY)
    .default("queue")
    .describe(
      "If it is at work: queue; steer (join the running turn after its next tool calls); interrupt (stop the turn, then this); reject",
    ),
  response_schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("A JSON Schema: the answer follows it and comes parsed in response.structured"),
  idempotency_key: idempotencyKey,
});

export const sendToInstance = defineTool({
  name: "send_to_instance",
  title: "Send a message to an instance",
  description: `Send a message to an instance and, unless told otherwise, wait for its answer. The message is safe once this answers: if the answer is not there in time (at most ${MAX_WAIT_SECONDS} s), status is queued or working, the work goes on, and wait with the message_id brings it.`,
  annotations: ADDS,
  changes: true,
  powers: ["message", "spend"],
  scope: "operate",
  input: sendInput,
  unhashed: ["wait_for_response", "timeout_seconds"],
  output: answer({
    instance_id: z.string(),
    message_id: z.string(),
    status: z.string(),
    response: messageResponse.optional(),
    spent: z.looseObject({}).optional(),
    remaining: z.looseObject({}).optional(),
  }),
  forInstances: {
    touches: (input) => touching(isPreempting(input) ? "preempt" : "send", input.instance_id),
    description:
      "Send a message to an instance below you, your parent or a sibling and, unless told otherwise, wait for its answer: waiting costs nothing. Only below you can it steer, interrupt or have a priority. To let several work at once, send with wait_for_response=false and wait for all their message_ids.",
  },
  async run(context, input) {
    const sent = await accept(context, input);
    const view =
      input.wait_for_response && !isFinal(sent.state)
        ? await awaitMessage(context, sent, patienceMs(context, input.timeout_seconds))
        : sent;
    return sendAnswer(input.instance_id, seenBy(context, view));
  },
  async begin(context, input) {
    const sent = await accept(context, input);
    if (!input.wait_for_response || isFinal(sent.state)) return sendAnswer(input.instance_id, sent);
    return { taskId: sent.message_id, createdAt: sent.created_at };
  },
});

/** Another instance's money is no business of a sender outside whose subtree it is. */
function seenBy({ relations }: ToolContext, view: MessageView): MessageView {
  if (relations === undefined || accessTo("read", relations.to[homeOf(view.message_id)] ?? "stranger") === "yes")
    return view;
  const { funds: _funds, ...rest } = view;
  return rest;
}

/** Whether the message does more than wait its turn: it stops or joins the running one, or goes before others. */
function isPreempting({ when_busy, priority }: z.output<typeof sendInput>): boolean {
  return when_busy === "steer" || when_busy === "interrupt" || priority !== 0;
}

/** Hands the message to its instance. From here on it is safe. */
async function accept(context: ToolContext, input: z.output<typeof sendInput>): Promise<MessageView> {
  assertSize("message", input.message);
  if (input.response_schema) await assertSchema(input.response_schema);
  return deliver(context, input.instance_id, {
    message: input.message,
    priority: input.priority,
    when_busy: input.when_busy,
    response_schema: input.response_schema ?? null,
  });
}

/** How a message stands, in the words of the public contract. */
export function sendAnswer(instanceId: string, view: MessageView) {
  const ids = { instance_id: instanceId, message_id: view.message_id, ...(view.funds ?? {}) };
  if (view.paused) {
    const { code, message, details } = view.paused;
    return { success: false, error: code, message, ...(details ? { details } : {}), ...ids, status: "paused" };
  }
  const waiting = view.waiting_for ? { waiting_for: view.waiting_for } : {};
  switch (view.state) {
    case "completed":
      return {
        success: true,
        message: "The instance answered.",
        ...ids,
        status: "completed",
        ...(view.response ? { response: view.response } : {}),
      };
    case "queued":
      return {
        success: true,
        message:
          "The message is accepted and queued. Call wait with its message_id, or read get_instance_output later.",
        ...ids,
        status: "queued",
      };
    case "running":
    case "waiting":
      return {
        success: true,
        message:
          "The instance is at work on the message. Call wait with its message_id, or read get_instance_output later.",
        ...ids,
        status: "working",
        ...waiting,
      };
    case "failed":
    case "cancelled":
    case "refused": {
      const failure: Failure = view.error ?? { code: "internal", message: `The message ended as ${view.state}.` };
      return {
        success: false,
        error: failure.code,
        message: failure.message,
        ...(failure.details ? { details: failure.details } : {}),
        ...ids,
        status: view.state,
      };
    }
  }
}

const MAX_SCHEMA_BYTES = 102_400;

/** Throws `invalid_input` for a schema that can't be used. */
async function assertSchema(schema: Record<string, unknown>): Promise<void> {
  assertSize("response_schema", JSON.stringify(schema), MAX_SCHEMA_BYTES, "Ask for less in one answer.");
  const problem = await schemaProblem(schema);
  if (problem === null) return;
  const { path, message } = problem;
  throw new MadroxError("invalid_input", `response_schema can't be used: ${path} ${message}.`, {
    field: "response_schema",
    path,
  });
}
