/**
 * OTLP over HTTP as JSON: hands the spans of one turn to a collector. Small enough not to need OpenTelemetry's SDK, which would
 * want to time the work itself.
 */
import type { Span } from "./trace.ts";
import { VERSION } from "./version.ts";

/** Where spans go. `url` is the whole address of the collector's traces. */
export interface Collector {
  url: string;
  headers: Readonly<Record<string, string>>;
}

const PATIENCE_MS = 10_000;
const KINDS = { internal: 1, client: 3 } as const;
/** Attributes that the conventions have as lists. */
const LISTS: ReadonlySet<string> = new Set(["gen_ai.response.finish_reasons"]);

/** Sends the spans. Throws when the collector does not take them; then they are lost. */
export async function exportSpans(collector: Collector, spans: readonly Span[]): Promise<void> {
  if (spans.length === 0) return;
  const response = await fetch(collector.url, {
    method: "POST",
    headers: { "content-type": "application/json", ...collector.headers },
    body: JSON.stringify(requestOf(spans)),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the collector answers ${response.status}`);
}

/** An ExportTraceServiceRequest. */
export function requestOf(spans: readonly Span[]): object {
  return {
    resourceSpans: [
      {
        resource: { attributes: attributesOf({ "service.name": "madrox", "service.version": VERSION }) },
        scopeSpans: [{ scope: { name: "madrox", version: VERSION }, spans: spans.map(spanOf) }],
      },
    ],
  };
}

function spanOf(span: Span): object {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentId === null ? {} : { parentSpanId: span.parentId }),
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: `${span.start}000000`,
    endTimeUnixNano: `${span.end}000000`,
    attributes: attributesOf({ ...span.attributes, ...(span.error === null ? {} : { "error.type": span.error }) }),
    status: span.error === null ? {} : { code: 2, message: span.error },
  };
}

function attributesOf(attributes: Span["attributes"]): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: LISTS.has(key) ? { arrayValue: { values: [anyValue(value)] } } : anyValue(value),
  }));
}

function anyValue(value: string | number | boolean): object {
  if (typeof value === "string") return { stringValue: value };
  // 64-bit integers are text in OTLP's JSON.
  return typeof value === "number" ? { intValue: String(value) } : { boolValue: value };
}
