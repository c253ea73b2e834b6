/**
 * Calls of tools that are wrong in what they ask for, with what each is refused for.
 */
import { RETIRED } from "../../src/anthropic/models.ts";
import type { ErrorCode } from "../../src/platform/errors.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { send, spawn, tool } from "./door.ts";
import type { Input } from "./refusals.ts";

/** What a case may use. An instance that is spawned for it has to be left as it was. */
interface Given {
  live: string;
  key: string;
}

type BadInput = [
  what: string,
  tool: string,
  input: (given: Given) => Input | Promise<Input>,
  code: ErrorCode,
  says: RegExp,
];

const LONE = "\ud800";

const schemaCase = (what: string, schema: unknown, says = /response_schema/): BadInput => [
  `response_schema: ${what}`,
  "send_to_instance",
  ({ live }) => ({ instance_id: live, message: "Answer.", wait_for_response: false, response_schema: schema }),
  "invalid_input",
  says,
];

const retiredCase = ({ id, replacement }: { id: string; replacement: string }): BadInput => [
  `the retired model ${id}`,
  "spawn_claude",
  () => ({ name: "Ada", model: id }),
  "invalid_input",
  new RegExp(`${id} was retired.* Use ${replacement} \\(`),
];

/** A schema that is nested deeper than a call may be. */
const deepSchema = (levels: number) => {
  let schema: Input = { type: "string" };
  for (let level = 0; level < levels; level++) schema = { type: "array", items: schema };
  return schema;
};

async function ended(): Promise<string> {
  const id = await spawn();
  await tool("terminate_instance", { instance_id: id });
  return id;
}

export const BAD_INPUTS: BadInput[] = [
  ["an unknown tool", "spawn_gpt", () => ({}), "not_found", /"spawn_gpt".*spawn_claude/],
  ["a tool named like what every object has", "constructor", () => ({}), "not_found", /"constructor"/],
  ["a tool whose name is no Unicode", `spawn${LONE}`, () => ({}), "not_found", /spawn_claude/],
  ["a tool with an endless name", "x".repeat(100_000), () => ({}), "not_found", /spawn_claude/],
  [
    "an argument with an endless name",
    "spawn_claude",
    () => ({ name: "A", ["k".repeat(100_000)]: 1 }),
    "invalid_input",
    /kkk: is no argument/,
  ],
  [
    "an argument whose name is no Unicode",
    "spawn_claude",
    () => ({ name: "A", [LONE]: 1 }),
    "invalid_input",
    /is no argument/,
  ],
  [
    "a thousand arguments too many",
    "spawn_claude",
    () => Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i])),
    "invalid_input",
    /k1: is no argument/,
  ],

  ["an unknown role", "spawn_claude", () => ({ name: "Ada", role: "wizard" }), "invalid_input", /role: .*architect/],
  ...RETIRED.map(retiredCase),
  ["an unknown model", "spawn_claude", () => ({ name: "Ada", model: "gpt-7" }), "invalid_input", /"gpt-7".*sonnet/],
  ["an empty model", "spawn_claude", () => ({ name: "Ada", model: "" }), "invalid_input", /model/],
  ["an endless model", "spawn_claude", () => ({ name: "Ada", model: "m".repeat(100_000) }), "invalid_input", /model/],
  ["a model that is no Unicode", "spawn_claude", () => ({ name: "Ada", model: LONE }), "invalid_input", /model/],
  ["an empty name", "spawn_claude", () => ({ name: "" }), "invalid_input", /name: must not be empty/],
  ["a blank name", "spawn_claude", () => ({ name: " \n\t" }), "invalid_input", /name: must not be empty/],
  ["an endless name", "spawn_claude", () => ({ name: "x".repeat(201) }), "invalid_input", /name: .*200/],
  ["a name with a NUL", "spawn_claude", () => ({ name: "A\0da" }), "invalid_input", /name: .*NUL/],
  [
    "an effort that no model takes",
    "spawn_claude",
    () => ({ name: "Ada", effort: "enormous" }),
    "invalid_input",
    /effort: .*low/,
  ],
  [
    "an effort that this model doesn't take",
    "spawn_claude",
    () => ({ name: "Ada", model: "claude-opus-4-6", effort: "xhigh" }),
    "invalid_input",
    /claude-opus-4-6 takes effort low, medium, high, max, not xhigh/,
  ],
  [
    "an effort for a model that has none",
    "spawn_claude",
    () => ({ name: "Ada", model: "claude-haiku-4-5", effort: "low" }),
    "invalid_input",
    /claude-haiku-4-5 has no effort/,
  ],
  ["max_tokens of 0", "spawn_claude", () => ({ name: "Ada", max_tokens: 0 }), "invalid_input", /max_tokens/],
  ["max_tokens of 1.5", "spawn_claude", () => ({ name: "Ada", max_tokens: 1.5 }), "invalid_input", /max_tokens/],
  [
    "max_tokens above the model's",
    "spawn_claude",
    () => ({ name: "Ada", max_tokens: 128_001 }),
    "invalid_input",
    /at most 128000.*128001/,
  ],
  [
    "max_tokens above an older model's",
    "spawn_claude",
    () => ({ name: "Ada", model: "claude-haiku-4-5", max_tokens: 64_001 }),
    "invalid_input",
    /at most 64000/,
  ],
  [
    "max_tokens beyond counting",
    "spawn_claude",
    () => ({ name: "Ada", max_tokens: 1e300 }),
    "invalid_input",
    /max_tokens/,
  ],
  [
    "a system_prompt that is too large",
    "spawn_claude",
    () => ({ name: "Ada", system_prompt: "x".repeat(102_401) }),
    "too_large",
    /system_prompt has 102401 bytes.*102400/,
  ],
  [
    "a system_prompt that is no Unicode",
    "spawn_claude",
    () => ({ name: "Ada", system_prompt: LONE }),
    "invalid_input",
    /system_prompt: .*surrogate/,
  ],
  [
    "a blank initial_prompt",
    "spawn_claude",
    () => ({ name: "Ada", initial_prompt: " " }),
    "invalid_input",
    /initial_prompt: must not be empty/,
  ],
  [
    "an initial_prompt that is too large",
    "spawn_claude",
    () => ({ name: "Ada", initial_prompt: "ü".repeat(524_289) }),
    "too_large",
    /initial_prompt has 1048578 bytes.*1048576/,
  ],
  [
    "a malformed parent",
    "spawn_claude",
    () => ({ name: "Ada", parent_instance_id: "Bo" }),
    "invalid_input",
    /parent_instance_id: is no instance id/,
  ],
  [
    "a parent that doesn't exist",
    "spawn_claude",
    () => ({ name: "Ada", parent_instance_id: newInstanceId() }),
    "not_found",
    /parent instance inst_\w+ does not exist/,
  ],
  [
    "a parent that is terminated",
    "spawn_claude",
    async () => ({ name: "Ada", parent_instance_id: await ended() }),
    "conflict",
    /terminated and takes no children/,
  ],

  ...[
    "send_to_instance",
    "get_instance_output",
    "get_instance_status",
    "interrupt_instance",
    "terminate_instance",
  ].flatMap((name): BadInput[] => {
    const rest = name === "send_to_instance" ? { message: "Hello?" } : {};
    return [
      [
        `${name} to a malformed id`,
        name,
        () => ({ ...rest, instance_id: "Ada" }),
        "invalid_input",
        /instance_id: is no instance id: they look like inst_/,
      ],
      [
        `${name} to an empty id`,
        name,
        () => ({ ...rest, instance_id: "" }),
        "invalid_input",
        /instance_id: is no instance id/,
      ],
      [
        `${name} to an id in lower case`,
        name,
        ({ live }) => ({ ...rest, instance_id: live.toLowerCase() }),
        "invalid_input",
        /is no instance id/,
      ],
      [
        `${name} to an id with something behind it`,
        name,
        ({ live }) => ({ ...rest, instance_id: `${live}\n` }),
        "invalid_input",
        /is no instance id/,
      ],
      [
        `${name} to an id that nobody has`,
        name,
        () => ({ ...rest, instance_id: newInstanceId() }),
        "not_found",
        /inst_\w+ does not exist\. get_instance_status/,
      ],
    ];
  }),

  [
    "a terminated instance",
    "send_to_instance",
    async () => ({ instance_id: await ended(), message: "Still there?" }),
    "conflict",
    /is terminated and takes no messages/,
  ],
  [
    "an empty message",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: "" }),
    "invalid_input",
    /message: must not be empty/,
  ],
  [
    "a blank message",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: " \n\u3000\t" }),
    "invalid_input",
    /message: must not be empty/,
  ],
  [
    "a message of 5 MB",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: "x".repeat(5_000_000) }),
    "too_large",
    /message has 5000000 bytes.*1048576/,
  ],
  [
    "a message of a byte too many",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: "x".repeat(1_048_577) }),
    "too_large",
    /message has 1048577 bytes/,
  ],
  [
    "a message with a lone surrogate",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: `Hel${LONE}lo` }),
    "invalid_input",
    /message: must be valid Unicode/,
  ],
  [
    "a message with a NUL",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: "Hel\0lo" }),
    "invalid_input",
    /message: .*NUL/,
  ],
  [
    "a negative timeout",
    "send_to_instance",
    ({ live }) => ({ instance_id: live, message: "Hi.", timeout_seconds: -1 }),
    "invalid_input",
    /timeout_seconds/,
  ],
  schemaCase("nothing in it", {}),
  schemaCase("a type that there isn't", { type: "nonsense" }),
  schemaCase("a type that is no text", { type: 7 }),
  schemaCase("properties that are none", { type: "object", properties: "many" }),
  schemaCase("a property that is no schema", { type: "object", properties: { a: 7 } }),
  schemaCase("an enum that is no list", { enum: "a" }),
  schemaCase("a pattern that is none", { type: "string", pattern: "(" }),
  schemaCase("a reference to nowhere", { $ref: "#/$defs/missing" }),
  schemaCase("a reference to the web", { type: "object", properties: { a: { $ref: "https://example.com/schema" } } }),
  schemaCase("a reference to itself", { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }),
  schemaCase("a name that is no Unicode", { type: "object", properties: { [LONE]: { type: "string" } } }),
  schemaCase("a nesting that goes too deep", deepSchema(100), /response_schema|nested/),
  [
    "response_schema: a nesting that goes too deep, and an idempotency key",
    "send_to_instance",
    ({ live, key }) => ({
      instance_id: live,
      message: "Hi.",
      response_schema: deepSchema(100),
      idempotency_key: key,
    }),
    "invalid_input",
    /response_schema|nested/,
  ],
  [
    "response_schema: 5 MB of it",
    "send_to_instance",
    ({ live }) => ({
      instance_id: live,
      message: "Hi.",
      wait_for_response: false,
      response_schema: { type: "object", description: "x".repeat(5_000_000) },
    }),
    "too_large",
    /response_schema/,
  ],

  [
    "a time that is none",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, since: "yesterday" }),
    "invalid_input",
    /since is no ISO 8601 time: "yesterday"/,
  ],
  [
    "a time in the thirteenth month",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, since: "2026-13-01" }),
    "invalid_input",
    /since/,
  ],
  [
    "a time as a number",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, since: "1763800000" }),
    "invalid_input",
    /since/,
  ],
  [
    "a time that is no Unicode",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, since: LONE }),
    "invalid_input",
    /since/,
  ],
  [
    "a cursor that is none",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, cursor: "abc" }),
    "invalid_input",
    /cursor.*next_cursor/,
  ],
  [
    "a negative cursor",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, cursor: "-1" }),
    "invalid_input",
    /cursor.*next_cursor/,
  ],
  [
    "an endless cursor",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, cursor: "9".repeat(1_000) }),
    "invalid_input",
    /cursor/,
  ],
  ["a limit of 0", "get_instance_output", ({ live }) => ({ instance_id: live, limit: 0 }), "invalid_input", /limit/],
  [
    "a limit of 1e9",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, limit: 1e9 }),
    "invalid_input",
    /limit: .*1000/,
  ],
  [
    "a limit of 2.5",
    "get_instance_output",
    ({ live }) => ({ instance_id: live, limit: 2.5 }),
    "invalid_input",
    /limit/,
  ],
  ["a limit of 0 in a list", "get_instance_status", () => ({ limit: 0 }), "invalid_input", /limit/],
  ["a limit of 1e9 in a list", "get_instance_status", () => ({ limit: 1e9 }), "invalid_input", /limit: .*500/],
  [
    "a cursor that is none in a list",
    "get_instance_status",
    () => ({ cursor: "17" }),
    "invalid_input",
    /cursor.*next_cursor/,
  ],
  ["an unknown state", "get_instance_status", () => ({ state: "sleepy" }), "invalid_input", /state: .*idle/],
  [
    "an unknown role in a list",
    "get_instance_status",
    () => ({ role: "wizard" }),
    "invalid_input",
    /role: .*architect/,
  ],

  [
    "an empty idempotency key",
    "spawn_claude",
    () => ({ name: "Ada", idempotency_key: "" }),
    "invalid_input",
    /idempotency_key/,
  ],
  [
    "an endless idempotency key",
    "spawn_claude",
    () => ({ name: "Ada", idempotency_key: "k".repeat(201) }),
    "invalid_input",
    /idempotency_key/,
  ],
  [
    "the idempotency key of another spawn",
    "spawn_claude",
    async ({ key }) => {
      await spawn({ name: "Ada", idempotency_key: key });
      return { name: "Bo", idempotency_key: key };
    },
    "conflict",
    /idempotency key .* another request/,
  ],
  [
    "the idempotency key of a spawn, to terminate",
    "terminate_instance",
    async ({ live, key }) => {
      await spawn({ name: "Ada", idempotency_key: key });
      return { instance_id: live, idempotency_key: key };
    },
    "conflict",
    /idempotency key .* another request/,
  ],
  [
    "the idempotency key of another message",
    "send_to_instance",
    async ({ key }) => {
      const id = await spawn();
      await send(id, "One.", { idempotency_key: key });
      return { instance_id: id, message: "Two.", idempotency_key: key };
    },
    "conflict",
    /idempotency key .* another request/,
  ],
];
