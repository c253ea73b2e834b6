/**
 * Traces: the W3C trace context that a caller sends along, ids that follow from what a span is of, and spans in the platform's own
 * traces. The whole trace of a turn is made from its rows (instance/reporting/spans.ts).
 */
import { tracing } from "cloudflare:workers";
import { createHash } from "node:crypto";

/** Where a span belongs: its trace, and the span above it; null: it is the uppermost. */
export interface TraceContext {
  traceId: string;
  parentId: string | null;
  sampled: boolean;
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** What a `traceparent` says, or null when it is none that can be followed. */
export function parseTraceparent(text: unknown): TraceContext | null {
  const [, traceId, parentId, flags] = (typeof text === "string" && TRACEPARENT.exec(text.trim())) || [];
  if (traceId === undefined || parentId === undefined || flags === undefined) return null;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` of a span, for what it causes. */
export function traceparentOf(context: Pick<TraceContext, "traceId" | "sampled">, spanId: string): string {
  return `00-${context.traceId}-${spanId}-${context.sampled ? "01" : "00"}`;
}

/** An id of a trace (16 bytes) or a span (8) in hex. The same for the same name: making it again makes no other. */
export function traceIdOf(name: string, bytes: 8 | 16): string {
  return createHash("sha256")
    .update(name)
    .digest("hex")
    .slice(0, bytes * 2);
}

export type Attributes = Record<string, string | number | boolean>;

/** Does the work in a span of the platform's own trace. Costs nothing where that is off: no attribute is even made. */
export function inSpan<T>(name: string, attributes: () => Attributes, work: () => Promise<T>): Promise<T> {
  return tracing.enterSpan(name, (span) => {
    if (span.isTraced) span.setAttributes(attributes());
    return work();
  });
}

/** Times in ms since the epoch. `error`: a stable code, or null when it went well. */
export interface Span {
  traceId: string;
  spanId: string;
  parentId: string | null;
  name: string;
  /** `client`: a call to somebody else. */
  kind: "internal" | "client";
  start: number;
  end: number;
  attributes: Attributes;
  error: string | null;
}
