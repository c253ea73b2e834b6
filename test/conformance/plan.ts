/**
 * What the official referee is asked, and what it is not asked, with the reason. Every scenario that it knows stands here for
 * each of its revisions, so that a new version of the referee can't bring one that nobody has looked at.
 */

export interface Round {
  /** The installed package that judges. */
  referee: string;
  revision: string;
  /** What is judged: the product as it is, or its doors with everything behind them that the referee asks for by name. */
  judged: "product" | "everything";
  scenarios: readonly string[];
}

/** What the product's own tools, prompts and resources can show, in the revisions of 2025. */
const PRODUCT_2025: readonly string[] = [
  "server-initialize",
  "ping",
  "tools-list",
  "resources-list",
  "prompts-list",
  "dns-rebinding-protection",
  "server-sse-multiple-streams",
];

/** What needs the entry test/entry/everything, in every revision. */
const EVERYTHING: readonly string[] = [
  "completion-complete",
  "tools-call-simple-text",
  "tools-call-image",
  "tools-call-audio",
  "tools-call-embedded-resource",
  "tools-call-mixed-content",
  "tools-call-error",
  "tools-call-with-progress",
  "json-schema-2020-12",
  "resources-read-text",
  "resources-read-binary",
  "resources-templates-read",
  "prompts-get-simple",
  "prompts-get-with-args",
  "prompts-get-embedded-resource",
  "prompts-get-with-image",
];

const EVERYTHING_2025: readonly string[] = [
  ...EVERYTHING,
  "logging-set-level",
  "tools-call-with-logging",
  "tools-call-sampling",
  "tools-call-elicitation",
  "elicitation-sep1034-defaults",
  "elicitation-sep1330-enums",
  "server-sse-polling",
  "resources-subscribe",
  "resources-unsubscribe",
];

export const ROUNDS: readonly Round[] = [
  ...["@modelcontextprotocol/conformance", "conformance-next"].flatMap((referee): Round[] => [
    { referee, revision: "2025-11-25", judged: "product", scenarios: PRODUCT_2025 },
    { referee, revision: "2025-11-25", judged: "everything", scenarios: EVERYTHING_2025 },
  ]),
  {
    referee: "conformance-next",
    revision: "2026-07-28",
    judged: "product",
    scenarios: [
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
  {
    referee: "conformance-next",
    revision: "2026-07-28",
    judged: "everything",
    scenarios: [
      ...EVERYTHING,
      "server-stateless",
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
      // Of the tasks extension, which belongs to no revision.
      "tasks-lifecycle",
      "tasks-capability-negotiation",
      "tasks-wire-fields",
      "tasks-request-state-removal",
      "tasks-mrtr-input",
      "tasks-request-headers",
      "tasks-dispatch-and-envelope",
      "tasks-required-task-error",
      "tasks-mrtr-composition",
    ],
  },
];

/** What the referee asks of the authorization server. Its older version has nothing to ask. */
export const AUTHORIZATION_ROUNDS: readonly Round[] = ["2025-11-25", "2026-07-28"].map((revision) => ({
  referee: "conformance-next",
  revision,
  judged: "product",
  scenarios: ["authorization-server-metadata-endpoint", "authorization-code-grant"],
}));

/** What is asked in no round, and why. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  "server-session-lifecycle": "the server has no sessions, so it only says that it checked nothing",
  "tasks-status-notifications": "it only says that it checks nothing yet",
  "http-custom-header-server-validation": "no tool takes a part of its input as a header, and nothing would check it",
  "sep-2640-skills-directory": "an extension that the server does not declare",
  "sep-2640-skills-enumeration": "an extension that the server does not declare",
  "sep-2640-skills-manifest": "an extension that the server does not declare",
};
