/** `GET /v1/models`: the models table as the Models API shows it. */
import { MODELS, type Model, RETIRED } from "../models.ts";
import type { Json } from "./wire.ts";

/** The models of these lifecycle stages (default: all but retired), newest first, as one page. */
export function modelPage(lifecycles: readonly string[], now: number): Json {
  const wanted = lifecycles.length > 0 ? lifecycles : ["active", "deprecated"];
  const known = MODELS.map((model) => modelInfo(model, now));
  const data = [...known, ...RETIRED.map(retiredInfo)].filter((info) => wanted.includes(String(info.lifecycle)));
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

/** One model by its exact id, retired ones too; null when there is none. */
export function modelById(id: string, now: number): Json | null {
  const model = MODELS.find((candidate) => candidate.id === id);
  if (model) return modelInfo(model, now);
  const retired = RETIRED.find((candidate) => candidate.id === id);
  return retired ? retiredInfo(retired) : null;
}

function modelInfo(model: Model, now: number): Json {
  const due = model.retiresOn === null ? null : Date.parse(model.retiresOn);
  return {
    type: "model",
    id: model.id,
    display_name: model.displayName,
    // The API's own way to say that a date is not known.
    created_at: "1970-01-01T00:00:00Z",
    line: model.line,
    lifecycle: due === null ? "active" : due <= now ? "retired" : "deprecated",
    deprecated_at: due === null ? null : "1970-01-01T00:00:00Z",
    retires_at: due === null ? null : new Date(due).toISOString(),
    max_input_tokens: model.contextWindow,
    max_tokens: model.maxOutput,
    capabilities: capabilities(model),
  };
}

function retiredInfo(model: { id: string; retiredOn: string; replacement: string }): Json {
  return {
    type: "model",
    id: model.id,
    display_name: model.id,
    created_at: "1970-01-01T00:00:00Z",
    line: model.replacement,
    lifecycle: "retired",
    deprecated_at: "1970-01-01T00:00:00Z",
    retires_at: `${model.retiredOn}T00:00:00.000Z`,
    max_input_tokens: null,
    max_tokens: null,
    capabilities: null,
  };
}

function capabilities(model: Model): Json {
  const yes = { supported: true };
  const is = (supported: boolean) => ({ supported });
  const effort = Object.fromEntries(
    (["low", "medium", "high", "xhigh", "max"] as const).map((level) => [level, is(model.efforts.includes(level))]),
  );
  const thinking = Object.fromEntries(
    (["adaptive", "between_tools", "disabled", "enabled"] as const).map((type) => [
      type,
      is(model.thinkingTypes.includes(type)),
    ]),
  );
  return {
    batch: yes,
    citations: yes,
    code_execution: yes,
    context_management: {
      supported: true,
      clear_thinking_20251015: yes,
      clear_tool_uses_20250919: yes,
      compact_20260112: yes,
    },
    effort: { supported: model.efforts.length > 0, ...effort },
    image_input: yes,
    pdf_input: yes,
    server_tools: { supported: true, code_execution: yes, web_search: yes },
    structured_outputs: yes,
    thinking: { supported: true, types: thinking },
  };
}
