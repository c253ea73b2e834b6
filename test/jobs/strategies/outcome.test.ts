/**
 * What a message's state means for its step.
 */
import { describe, expect, it } from "vitest";
import type { MessageView } from "../../../src/contracts/instance.ts";
import type { StepKind } from "../../../src/contracts/job.ts";
import { outcomeOf } from "../../../src/jobs/strategies/outcome.ts";

describe("what a message's state means for its step", () => {
  const failed = (code: "upstream_error" | "internal" | "refused", details?: Record<string, unknown>) => ({
    state: "failed" as const,
    error: { code, message: "no", ...(details ? { details } : {}) },
  });
  it.each<[string, Partial<MessageView>, number, StepKind, object]>([
    ["a queued message", { state: "queued" }, 1, "work", { kind: "open" }],
    ["one that waits", { state: "waiting" }, 1, "work", { kind: "open" }],
    [
      "one that a cap holds up",
      { state: "waiting", paused: { code: "budget_exceeded", message: "x" } },
      1,
      "work",
      { kind: "failed", recall: true, error: { code: "budget_exceeded" } },
    ],
    ["the model's server broke", failed("upstream_error", { status: 500 }), 1, "work", { kind: "retry" }],
    ["it broke without a status", failed("upstream_error"), 1, "work", { kind: "retry" }],
    ["it broke again", failed("upstream_error"), 2, "work", { kind: "failed", recall: false }],
    ["the API refused the request", failed("upstream_error", { status: 400 }), 1, "work", { kind: "failed" }],
    [
      "the model refused",
      { state: "refused", error: { code: "refused", message: "no" } },
      1,
      "work",
      { kind: "failed" },
    ],
    [
      "somebody stopped it",
      { state: "cancelled", error: { code: "cancelled", message: "x" } },
      1,
      "work",
      { kind: "failed" },
    ],
    [
      "a ballot without its form",
      { state: "completed" },
      1,
      "vote",
      { kind: "failed", error: { code: "schema_mismatch" } },
    ],
    ["an answer", { state: "completed" }, 1, "work", { kind: "completed", text: "", simulated: false }],
    [
      "an answer of the simulator",
      {
        state: "completed",
        response: { message_id: "msg", response: "Yes.", timestamp: "", tokens_used: 1, cost: 0, simulated: true },
      },
      1,
      "work",
      { kind: "completed", text: "Yes.", simulated: true },
    ],
  ])("decides whether it is open, done, tried again or failed: %s", (_name, fields, tries, kind, expected) => {
    const view = { message_id: "msg", created_at: "", state: "queued", ...fields } as MessageView;
    expect(outcomeOf(view, { kind, tries })).toMatchObject(expected);
  });
});
