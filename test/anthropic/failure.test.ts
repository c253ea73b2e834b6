/**
 * What is done about which failure of a model call, and after which wait.
 */
import { APIConnectionError, APIError, APIUserAbortError } from "@anthropic-ai/sdk/error";
import { describe, expect, it } from "vitest";
import { type CallFailure, CutOffError, callRetryDelay, classify, StalledError } from "../../src/anthropic/failure.ts";
import { installModel } from "../support/model.ts";

installModel();

describe("what is done about a failed model call", () => {
  const api = (
    httpStatus: number | undefined,
    type: string,
    message: string,
    headers: Record<string, string> = {},
    details: Record<string, unknown> | null = null,
  ) =>
    new APIError(
      httpStatus,
      { type: "error", error: { type, message, details }, request_id: "req_1" },
      message,
      new Headers(headers),
      type as ConstructorParameters<typeof APIError>[4],
    );
  const spendLimit = (code: string) => api(429, "rate_limit_error", "You have reached it", {}, { error_code: code });

  it.each<[string, unknown, string, string | null]>([
    ["a stall", new StalledError("silence"), "retry", "stalled"],
    ["an end before message_stop", new CutOffError("eof"), "retry", "cut_off"],
    ["no connection", new APIConnectionError({ message: "refused" }), "retry", "connection"],
    ["the caller's abort", new APIUserAbortError(), "aborted", null],
    ["an abort of fetch", new DOMException("aborted", "AbortError"), "aborted", null],
    ["a broken socket", new TypeError("terminated"), "retry", "cut_off"],
    ["an event that is no JSON", new SyntaxError("Unexpected token"), "retry", "server_error"],
    ["anything else", "a string", "retry", "cut_off"],
    ["429", api(429, "rate_limit_error", "slow down"), "retry", "rate_limited"],
    ["429 for the organization's own limit", spendLimit("enforced_spend_limit_reached"), "fatal", null],
    ["429 for the contract's limit", spendLimit("contract_spend_limit_reached"), "fatal", null],
    ["429 for a linked organization's", spendLimit("linked_organization_spend_limit_reached"), "fatal", null],
    ["429 for something yet unheard of", spendLimit("some_other_code"), "retry", "rate_limited"],
    ["529", api(529, "overloaded_error", "Overloaded"), "retry", "overloaded"],
    ["500", api(500, "api_error", "oops"), "retry", "server_error"],
    ["502", api(502, "api_error", "oops"), "retry", "server_error"],
    ["503", api(503, "api_error", "oops"), "retry", "server_error"],
    ["504", api(504, "timeout_error", "oops"), "retry", "server_error"],
    ["408", api(408, "timeout_error", "oops"), "retry", "server_error"],
    ["409", api(409, "conflict_error", "oops"), "retry", "server_error"],
    ["an overloaded event in the stream", api(undefined, "overloaded_error", "Overloaded"), "retry", "overloaded"],
    ["an api_error event in the stream", api(undefined, "api_error", "oops"), "retry", "server_error"],
    ["a rate limit event in the stream", api(undefined, "rate_limit_error", "oops"), "retry", "rate_limited"],
    ["an unknown event in the stream", api(undefined, "new_error", "oops"), "retry", "server_error"],
    ["an invalid request event in the stream", api(undefined, "invalid_request_error", "oops"), "fatal", null],
    ["400", api(400, "invalid_request_error", "tools: invalid"), "fatal", null],
    ["400 for length", api(400, "invalid_request_error", "prompt is too long: 9 tokens > 8"), "too_long", null],
    [
      "400 for length with max_tokens",
      api(400, "invalid_request_error", "input length and max_tokens exceed context limit"),
      "too_long",
      null,
    ],
    ["401", api(401, "authentication_error", "bad key"), "fatal", null],
    ["402", api(402, "billing_error", "no credit"), "fatal", null],
    ["403", api(403, "permission_error", "no"), "fatal", null],
    ["404", api(404, "not_found_error", "model: x"), "fatal", null],
    ["413", api(413, "request_too_large", "too big"), "too_long", null],
    ["422", api(422, "invalid_request_error", "no"), "fatal", null],
    ["5xx that says not to retry", api(503, "api_error", "no", { "x-should-retry": "false" }), "fatal", null],
    ["4xx that says to retry", api(418, "api_error", "later", { "x-should-retry": "true" }), "retry", "server_error"],
    // reference/anthropic-api.md 2.9: "x-should-retry true/false wins".
    ["429 that says not to retry", api(429, "rate_limit_error", "no", { "x-should-retry": "false" }), "fatal", null],
    ["529 that says not to retry", api(529, "overloaded_error", "no", { "x-should-retry": "false" }), "fatal", null],
  ])("%s", (_name, error, kind, reason) => {
    const failure = classify(error);
    expect([failure.kind, failure.kind === "retry" ? failure.reason : null]).toEqual([kind, reason]);
    if (failure.kind !== "aborted") {
      expect(failure.error.code).toBe("upstream_error");
      expect(failure.error.message.length).toBeGreaterThan(20);
    }
  });

  it.each([
    ["retry-after in seconds", { "retry-after": "7" }, 7_000],
    ["retry-after 0", { "retry-after": "0" }, null],
    ["retry-after-ms", { "retry-after-ms": "1500" }, 1_500],
    ["both", { "retry-after-ms": "1500", "retry-after": "7" }, 1_500],
    ["a date in the past", { "retry-after": "Wed, 01 Jan 2020 00:00:00 GMT" }, null],
    ["nonsense", { "retry-after": "soon" }, null],
    ["a negative number", { "retry-after": "-5" }, null],
    ["a moment", { "retry-after-ms": "3" }, 1_000],
    ["a day", { "retry-after": "86400" }, 300_000],
    ["a number beyond every date", { "retry-after": "1e300" }, 300_000],
    ["no number at all", { "retry-after": "Infinity" }, 300_000],
    ["nothing", {}, null],
  ])("takes the time to wait from %s", (_name, headers, afterMs) => {
    for (const httpStatus of [429, 529, 503]) {
      expect(classify(api(httpStatus, "api_error", "later", headers))).toMatchObject({ kind: "retry", afterMs });
    }
  });

  it("takes a date in the future as the time until then", () => {
    const failure = classify(
      api(429, "rate_limit_error", "later", { "retry-after": new Date(Date.now() + 90_000).toUTCString() }),
    ) as Extract<CallFailure, { kind: "retry" }>;
    expect(failure.afterMs).toBeGreaterThan(85_000);
    expect(failure.afterMs).toBeLessThanOrEqual(90_000);
  });

  it("passes on what the API said, but no page of a proxy", () => {
    const said = classify(api(400, "invalid_request_error", "tools.0: bad")) as { error: { message: string } };
    expect(said.error.message).toContain("tools.0: bad");
    const page = classify(new APIError(502, "<html>gateway</html>" as never, "<html>", new Headers()));
    expect(JSON.stringify(page)).not.toContain("<html>");
  });
});

describe("the wait before a model call is tried again", () => {
  it.each([
    ["the first failure, at the least", 1, null, 0, 500],
    ["the first failure, at the most", 1, null, 1, 1_000],
    ["the second", 2, null, 1, 2_000],
    ["the fifth, in the middle", 5, null, 0.5, 12_000],
    ["the ceiling", 7, null, 1, 60_000],
    ["far beyond the ceiling", 1_000, null, 1, 60_000],
    ["none yet", 0, null, 1, 1_000],
    ["what the API asked for", 9, 5_000, 0, 5_000],
    ["that and a tenth, at the most", 1, 5_000, 1, 5_500],
    ["at once, if it says so", 3, 0, 1, 0],
  ])("%s", (_name, failures, afterMs, random, delay) => {
    expect(callRetryDelay(failures, afterMs, random)).toBe(delay);
  });
});
