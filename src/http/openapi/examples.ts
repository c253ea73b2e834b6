/**
 * A request and its answer for the tools that one begins with: one conversation, in this order. Tests run them, and hold each
 * answer to what the server says.
 */
import type { ErrorBody } from "../../platform/errors.ts";
import type { ToolAnswer } from "../../tools/runtime/tool.ts";

export interface Example {
  tool: string;
  request: Record<string, unknown>;
  answer: ToolAnswer | ErrorBody;
}

/** The ids that stand for those of the reader. */
export const EXAMPLE_INSTANCE = "inst_01M830JV1AYSSDPM8ZZ2S1JT91";
export const EXAMPLE_MESSAGE = `msg_${EXAMPLE_INSTANCE.slice("inst_".length)}_1`;

const ids = { instance_id: EXAMPLE_INSTANCE, message_id: EXAMPLE_MESSAGE };

const remaining = {
  cost: 2,
  cost_scope: EXAMPLE_INSTANCE,
  tokens: 100_000,
  tokens_scope: EXAMPLE_INSTANCE,
  cap: "hard",
};

const response = "Double bookings, time zones, and events that more people see than should.";

const FILE = {
  path: "risks.md",
  size: 7,
  modified_at: "2026-11-23T01:33:30.825Z",
  version: "3",
  media_type: "text/markdown",
};

export const EXAMPLES: readonly Example[] = [
  {
    tool: "spawn_claude",
    request: { name: "Ada", role: "architect", tools: "none", max_cost: 2 },
    answer: {
      success: true,
      message: "Ada (architect) is ready. Talk to it with send_to_instance.",
      instance_id: EXAMPLE_INSTANCE,
      name: "Ada",
      role: "architect",
      model: "claude-sonnet-5-5",
      tools: [],
      limits: { max_cost: 2, max_total_tokens: 100_000, timeout_minutes: 60, max_turn_minutes: null },
      remaining,
    },
  },
  {
    tool: "send_to_instance",
    request: {
      instance_id: EXAMPLE_INSTANCE,
      message: "Name three risks of a shared calendar.",
      wait_for_response: false,
    },
    answer: {
      success: true,
      message: "The message is accepted and queued. Call wait with its message_id, or read get_instance_output later.",
      ...ids,
      spent: { cost: 0, unsettled_cost: 0, tokens: 0 },
      remaining,
      status: "queued",
    },
  },
  {
    tool: "wait",
    request: { ids: [EXAMPLE_MESSAGE] },
    answer: {
      success: true,
      message: "Everything is done.",
      done: [
        {
          id: EXAMPLE_MESSAGE,
          kind: "message",
          status: "completed",
          response: {
            message_id: EXAMPLE_MESSAGE,
            response,
            timestamp: "2026-11-23T01:33:30.693Z",
            tokens_used: 3087,
            cost: 0.0084825,
          },
        },
      ],
      pending: [],
    },
  },
  {
    tool: "get_instance_output",
    request: { instance_id: EXAMPLE_INSTANCE },
    answer: {
      success: true,
      message: "2 rows.",
      output: [
        {
          message_index: 0,
          message_id: EXAMPLE_MESSAGE,
          type: "user",
          content: "Name three risks of a shared calendar.",
          timestamp: "2026-11-23T01:33:30.653Z",
          tokens_used: 0,
          cost: 0,
        },
        {
          message_index: 1,
          message_id: EXAMPLE_MESSAGE,
          type: "response",
          content: response,
          timestamp: "2026-11-23T01:33:30.693Z",
          tokens_used: 3087,
          cost: 0.0084825,
        },
      ],
      count: 2,
      next_cursor: null,
    },
  },
  {
    tool: "write_instance_file",
    request: { instance_id: EXAMPLE_INSTANCE, path: FILE.path, content: "# Risks" },
    answer: { success: true, message: "Created risks.md.", ...FILE, created: true },
  },
  {
    tool: "list_instance_files",
    request: { instance_id: EXAMPLE_INSTANCE },
    answer: { success: true, message: "1 entries.", files: [{ ...FILE, type: "file" }], count: 1, next_cursor: null },
  },
  {
    tool: "retrieve_instance_file",
    request: { instance_id: EXAMPLE_INSTANCE, path: FILE.path },
    answer: {
      success: true,
      message: "7 bytes.",
      ...FILE,
      offset: 0,
      content: "# Risks",
      encoding: "utf-8",
      length: 7,
      next_offset: null,
    },
  },
  {
    tool: "set_limits",
    request: { instance_id: EXAMPLE_INSTANCE, max_cost: 3 },
    answer: {
      success: true,
      message: "The limits are set.",
      instance_id: EXAMPLE_INSTANCE,
      limits: { max_cost: 3, max_total_tokens: 100_000, timeout_minutes: 60, max_turn_minutes: null },
      remaining,
      resumed: [],
    },
  },
  {
    tool: "terminate_instance",
    request: { instance_id: EXAMPLE_INSTANCE },
    answer: {
      success: true,
      message: "Terminated the instance.",
      instance_id: EXAMPLE_INSTANCE,
      terminated: [EXAMPLE_INSTANCE],
    },
  },
];

export function exampleOf(tool: string): Example | undefined {
  return EXAMPLES.find((example) => example.tool === tool);
}
