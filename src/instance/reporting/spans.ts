/**
 * A turn as a trace: one span for it, one for each model call and one for each tool run below it, as OpenTelemetry's conventions
 * for generative AI name them. All of it is read from the turn's rows once it has ended, so tracing is no part of the work, and
 * a turn that crashed and went on has one trace with the same ids as any other.
 */

import type { InstanceSpec } from "../../contracts/instance-spec.ts";
import { messageIdOf } from "../../platform/ids.ts";
import type { Row } from "../../platform/sqlite.ts";
import { parseTraceparent, type Span, type TraceContext, traceIdOf, traceparentOf } from "../../platform/trace.ts";
import { senderTrace } from "../store/messages.ts";

const turnSpanId = (instanceId: string, n: number) => traceIdOf(`${instanceId}/turn/${n}`, 8);
const toolSpanId = (instanceId: string, id: number) => traceIdOf(`${instanceId}/tool/${id}`, 8);

/** The trace that message `n` belongs to: its sender's, or one of its own. */
function contextOf(sql: SqlStorage, instanceId: string, n: number): TraceContext {
  return (
    parseTraceparent(senderTrace(sql, n)) ?? {
      traceId: traceIdOf(`${instanceId}/trace/${n}`, 16),
      parentId: null,
      sampled: true,
    }
  );
}

/** The `traceparent` of what tool call `id` of turn `n` causes elsewhere. */
export function traceparentOfCall(sql: SqlStorage, instanceId: string, n: number, id: number): string {
  return traceparentOf(contextOf(sql, instanceId, n), toolSpanId(instanceId, id));
}

interface AttemptRow extends Row {
  id: number;
  model: string;
  started_at: number;
  finished_at: number | null;
  outcome: string;
  api_message_id: string | null;
  request_id: string | null;
  max_tokens: number;
  stop_reason: string | null;
  input: number;
  output: number;
  cache_read: number;
  cache_write: number;
}

/** The spans of turn `n`, which has ended, the turn's own first; none when its sender's trace is not sampled. */
export function spansOf(sql: SqlStorage, spec: InstanceSpec, n: number): Span[] {
  const id = spec.instance_id;
  const { traceId, parentId, sampled } = contextOf(sql, id, n);
  if (!sampled) return [];
  const turn = sql
    .exec<{ state: string; started_at: number; finished_at: number; error: string | null }>(
      "SELECT state, started_at, finished_at, error FROM message WHERE n = ?",
      n,
    )
    .one();
  const calls = sql
    .exec<AttemptRow>(
      `SELECT id, model, started_at, finished_at, outcome, api_message_id, request_id, max_tokens, stop_reason, input, output,
         cache_read, cache_write_5m + cache_write_1h AS cache_write FROM model_call WHERE n = ? ORDER BY id`,
      n,
    )
    .toArray();
  const tools = sql
    .exec<{
      id: number;
      tool_use_id: string;
      name: string;
      started_at: number;
      finished_at: number | null;
      is_error: number;
    }>(
      `SELECT id, tool_use_id, name, started_at, finished_at, is_error FROM tool_call
       WHERE n = ? AND started_at IS NOT NULL ORDER BY id`,
      n,
    )
    .toArray();
  const shared = { "gen_ai.provider.name": "anthropic", "gen_ai.conversation.id": id };
  const prompt = (call: AttemptRow) => call.input + call.cache_read + call.cache_write;
  const sum = (count: (call: AttemptRow) => number) => calls.reduce((total, call) => total + count(call), 0);
  const spanId = turnSpanId(id, n);
  const below = { traceId, parentId: spanId };
  return [
    {
      traceId,
      spanId,
      parentId,
      name: `invoke_agent ${spec.name}`,
      kind: "internal",
      start: turn.started_at,
      end: turn.finished_at,
      error:
        turn.state === "completed"
          ? null
          : ((JSON.parse(turn.error ?? "null") as { code: string } | null)?.code ?? turn.state),
      attributes: {
        ...shared,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": id,
        "gen_ai.agent.name": spec.name,
        "gen_ai.request.model": spec.model,
        "gen_ai.usage.input_tokens": sum(prompt),
        "gen_ai.usage.output_tokens": sum((call) => call.output),
        "madrox.tenant": spec.tenant,
        "madrox.role": spec.role,
        "madrox.message_id": messageIdOf(id, n),
      },
    },
    ...calls.map(
      (call): Span => ({
        ...below,
        spanId: traceIdOf(`${id}/attempt/${call.id}`, 8),
        name: `chat ${call.model}`,
        kind: "client",
        start: call.started_at,
        end: call.finished_at ?? call.started_at,
        error: call.outcome === "completed" ? null : call.outcome,
        attributes: {
          ...shared,
          "gen_ai.operation.name": "chat",
          "gen_ai.request.model": call.model,
          "gen_ai.request.max_tokens": call.max_tokens,
          "gen_ai.usage.input_tokens": prompt(call),
          "gen_ai.usage.output_tokens": call.output,
          "gen_ai.usage.cache_read.input_tokens": call.cache_read,
          "gen_ai.usage.cache_creation.input_tokens": call.cache_write,
          ...(call.api_message_id === null ? {} : { "gen_ai.response.id": call.api_message_id }),
          ...(call.stop_reason === null ? {} : { "gen_ai.response.finish_reasons": call.stop_reason }),
          ...(call.request_id === null ? {} : { "madrox.request_id": call.request_id }),
        },
      }),
    ),
    ...tools.map(
      (tool): Span => ({
        ...below,
        spanId: toolSpanId(id, tool.id),
        name: `execute_tool ${tool.name}`,
        kind: "internal",
        start: tool.started_at,
        end: tool.finished_at ?? turn.finished_at,
        error: tool.is_error === 1 ? "tool_error" : tool.finished_at === null ? "cancelled" : null,
        attributes: {
          ...shared,
          "gen_ai.operation.name": "execute_tool",
          "gen_ai.tool.name": tool.name,
          "gen_ai.tool.call.id": tool.tool_use_id,
          "gen_ai.tool.type": "function",
        },
      }),
    ),
  ];
}
