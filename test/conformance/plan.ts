/**
 * What the official referee is asked, and what it is not asked, with the reason. Every scenario that it knows stands here
 * exactly once for each revision, so that a new version of the referee can't bring one that nobody has looked at.
 */

/** A capability that a server declares, and without which a scenario has nothing to look at. */
export type Capability = "completions" | "logging" | "prompts" | "resources";

export interface Round {
  /** The installed package that judges. */
  referee: string;
  revision: string;
  scenarios: readonly string[];
}

export const ROUNDS: readonly Round[] = [
  {
    referee: "@modelcontextprotocol/conformance",
    revision: "2025-11-25",
    scenarios: [
      "server-initialize",
      "ping",
      "tools-list",
      "resources-list",
      "prompts-list",
      "dns-rebinding-protection",
      "server-sse-multiple-streams",
    ],
  },
  {
    referee: "conformance-next",
    revision: "2025-11-25",
    scenarios: [
      "server-initialize",
      "ping",
      "tools-list",
      "resources-list",
      "prompts-list",
      "dns-rebinding-protection",
      "server-sse-multiple-streams",
    ],
  },
  {
    referee: "conformance-next",
    revision: "2026-07-28",
    scenarios: [
      "server-stateless",
      "tools-list",
      "dns-rebinding-protection",
      "server-sse-multiple-streams",
      "http-header-validation",
      "input-required-result-unsupported-methods",
      "resources-list",
      "prompts-list",
      "sep-2164-resource-not-found",
      "caching",
    ],
  },
];

/** What the referee asks of the authorization server. Its older version has nothing to ask. */
export const AUTHORIZATION_ROUNDS: readonly Round[] = ["2025-11-25", "2026-07-28"].map((revision) => ({
  referee: "conformance-next",
  revision,
  scenarios: ["authorization-server-metadata-endpoint", "authorization-code-grant"],
}));

export interface LeftOut {
  reason: string;
  /** Once the server declares this, the reason no longer holds, and that is a failure. */
  until?: Capability;
  scenarios: readonly string[];
}

export const LEFT_OUT: readonly LeftOut[] = [
  { reason: "the server sends no log messages", until: "logging", scenarios: ["logging-set-level"] },
  { reason: "the server completes no arguments", until: "completions", scenarios: ["completion-complete"] },
  {
    reason: "the server has no sessions, so it only says that it checked nothing",
    scenarios: ["server-session-lifecycle"],
  },
  {
    reason: "asks for a tool, prompt or resource of the referee's own example server by name",
    scenarios: [
      "tools-call-simple-text",
      "tools-call-image",
      "tools-call-audio",
      "tools-call-embedded-resource",
      "tools-call-mixed-content",
      "tools-call-with-logging",
      "tools-call-error",
      "tools-call-with-progress",
      "tools-call-sampling",
      "tools-call-elicitation",
      "json-schema-2020-12",
      "elicitation-sep1034-defaults",
      "elicitation-sep1330-enums",
      "server-sse-polling",
      "resources-read-text",
      "resources-read-binary",
      "resources-templates-read",
      "resources-subscribe",
      "resources-unsubscribe",
      "prompts-get-simple",
      "prompts-get-with-args",
      "prompts-get-embedded-resource",
      "prompts-get-with-image",
      "http-custom-header-server-validation",
      "input-required-result-basic-elicitation",
      "input-required-result-basic-sampling",
      "input-required-result-basic-list-roots",
      "input-required-result-request-state",
      "input-required-result-multiple-input-requests",
      "input-required-result-multi-round",
      "input-required-result-missing-input-response",
      "input-required-result-non-tool-request",
      "input-required-result-result-type",
      "input-required-result-tampered-state",
      "input-required-result-capability-check",
      "input-required-result-ignore-extra-params",
      "input-required-result-validate-input",
    ],
  },
  {
    reason: "an extension that the server does not declare",
    scenarios: [
      "sep-2640-skills-directory",
      "sep-2640-skills-enumeration",
      "sep-2640-skills-manifest",
      "tasks-lifecycle",
      "tasks-capability-negotiation",
      "tasks-wire-fields",
      "tasks-request-state-removal",
      "tasks-mrtr-input",
      "tasks-request-headers",
      "tasks-dispatch-and-envelope",
      "tasks-status-notifications",
      "tasks-required-task-error",
      "tasks-mrtr-composition",
    ],
  },
];

/** A check that is known not to pass. One that passes after all, or no longer exists, is stale: a failure. */
export interface Expected {
  referee: string;
  revision: string;
  scenario: string;
  check: string;
  status: "FAILURE" | "WARNING";
  reason: string;
}

const NO_SESSION = "the server is stateless on purpose, and a stateless server may leave the session id out";
const NO_FIXTURE = "can only be looked at through the referee's own tool test_missing_capability";

export const EXPECTED: readonly Expected[] = [
  ...["@modelcontextprotocol/conformance", "conformance-next"].map(
    (referee): Expected => ({
      referee,
      revision: "2025-11-25",
      scenario: "server-sse-multiple-streams",
      check: "server-sse-multiple-streams-session",
      status: "WARNING",
      reason: NO_SESSION,
    }),
  ),
  ...["sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"].map(
    (check): Expected => ({
      referee: "conformance-next",
      revision: "2026-07-28",
      scenario: "server-stateless",
      check,
      status: "FAILURE",
      reason: NO_FIXTURE,
    }),
  ),
];
