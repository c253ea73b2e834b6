/**
 * REST and MCP refuse wrong input alike, with the same code and words, and go on serving. And what REST has of its own: routes,
 * pages and the Idempotency-Key header.
 */

import { exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { RETIRED } from "../../src/anthropic/models.ts";
import { ERROR_STATUS, type ErrorCode } from "../../src/platform/errors.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { VERSION } from "../../src/platform/version.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../src/tools/runtime/tool.ts";
import { type Json, output, request, send, spawn, status, tool, until } from "../support/door.ts";
import { MCP_HEADERS, mcpTool } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";

installModel();
beforeEach(() => scriptModel(() => undefined));

type Input = Record<string, unknown>;

/** A failed answer, as it is over REST and MCP alike. */
interface Refusal {
  success: false;
  error: ErrorCode;
  message: string;
  details?: { issues?: { field: string; problem: string }[] };
}

const JSON_TYPE = { "content-type": "application/json" };

function postTool(body: BodyInit | null, headers: Record<string, string> = {}): Promise<Response> {
  return request("/tools/execute", { method: "POST", headers: { ...JSON_TYPE, ...headers }, body });
}

const postMcp = (body: BodyInit | null, headers: Record<string, string> = {}): Promise<Response> =>
  request("/mcp", { method: "POST", headers: { ...MCP_HEADERS, ...headers }, body });

async function overRest(name: unknown, input: unknown): Promise<{ http: number; answer: Json }> {
  const response = await postTool(JSON.stringify({ tool: name, arguments: input }));
  return { http: response.status, answer: (await response.json()) as Json };
}

/** Nothing of the inside, nothing overlong, nothing that another JSON parser can't read. */
function expectPresentable(answer: { message: string }): void {
  const whole = JSON.stringify(answer);
  expect(answer.message).toMatch(/^\S+ \S+ /);
  expect(answer.message.length).toBeLessThan(1_000);
  expect(whole.length).toBeLessThan(10_000);
  // Half a surrogate pair stands in JSON as an escape; the backslash of a text that quotes one is itself escaped.
  expect(whole).not.toMatch(/(?<!\\)(\\\\)*\\ud[89a-f][0-9a-f]{2}/i);
  expect(whole).not.toMatch(/\bat \S+ \(|\.ts:\d|node_modules|SQLITE|call stack|undefined is not/);
}

/** Refused over REST and MCP in the same words; what follows is served. */
async function refusedOverBoth(name: string, input: unknown): Promise<Refusal> {
  const rest = await overRest(name, input);
  expect(rest.answer).toMatchObject({ success: false, error: expect.any(String), message: expect.any(String) });
  expect(await mcpTool(name, input)).toEqual(rest.answer);
  const refusal = rest.answer as unknown as Refusal;
  expect(rest.http).toBe(ERROR_STATUS[refusal.error]);
  expect(rest.http).toBeGreaterThanOrEqual(400);
  expect(rest.http).toBeLessThan(500);
  expectPresentable(refusal);
  expect((await overRest("get_instance_status", { limit: 1 })).http).toBe(200);
  expect((await mcpTool("get_instance_status", { limit: 1 })).success).toBe(true);
  return refusal;
}

interface Fields {
  properties: Record<string, { type?: string; anyOf?: { type?: string }[] }>;
  required?: string[];
}

const EVERY_TOOL = CATALOGUE.map(({ name, input }) => ({ name, ...(jsonSchemaOf(input) as unknown as Fields) }));

describe("a tool that is called wrongly", () => {
  it.each(EVERY_TOOL.filter(({ required = [] }) => required.length > 0))(
    "$name without its arguments says which are missing",
    async ({ name, required = [] }) => {
      const refusal = await refusedOverBoth(name, {});
      expect(refusal.error).toBe("invalid_input");
      expect(refusal.details?.issues?.map((issue) => issue.field)).toEqual(required);
      for (const field of required) expect(refusal.message).toContain(field);
    },
  );

  it.each(
    EVERY_TOOL.flatMap(({ name, properties }) =>
      Object.entries(properties).flatMap(([field, { type, anyOf = [] }]) => [
        { name, field, value: [type, ...anyOf.map((one) => one.type)].includes("array") ? 7 : ["wrong"] },
        { name, field, value: null },
      ]),
    ),
  )("$name with $value for $field says so", async ({ name, field, value }) => {
    const refusal = await refusedOverBoth(name, { [field]: value });
    expect(refusal.error).toBe("invalid_input");
    expect(refusal.details?.issues?.map((issue) => issue.field)).toContain(field);
    expect(refusal.message).toContain(field);
  });

  it.each(EVERY_TOOL)("$name with arguments that it doesn't have names them", async ({ name }) => {
    const refusal = await refusedOverBoth(name, { colour: "red", shape: { of: "things" } });
    expect(refusal.error).toBe("invalid_input");
    const fields = refusal.details?.issues?.map((issue) => issue.field);
    expect(fields).toEqual(expect.arrayContaining(["colour", "shape"]));
    expect(refusal.message).toContain("colour");
  });
});

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
/** JSON that is nested so deep that whoever walks it by recursion falls off the stack. */
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

const BAD_INPUTS: BadInput[] = [
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
  schemaCase("a nesting that never ends", deepSchema(5_000), /response_schema|nested/),
  [
    "response_schema: a nesting that never ends, and an idempotency key",
    "send_to_instance",
    ({ live, key }) => ({
      instance_id: live,
      message: "Hi.",
      response_schema: deepSchema(5_000),
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

describe("bad input over REST and MCP", () => {
  it.each(BAD_INPUTS)("%s", async (_what, name, inputOf, code, says) => {
    const live = await spawn();
    const input = await inputOf({ live, key: crypto.randomUUID() });
    const refusal = await refusedOverBoth(name, input);
    expect(refusal.error).toBe(code);
    expect(refusal.message).toMatch(says);
    expect(await status(live)).toMatchObject({ state: "idle", queue_depth: 0, request_count: 0, error_count: 0 });
    expect(await output(live)).toEqual([]);
  });
});

describe("good input at the edge", () => {
  it("takes a message of just the largest size, however it is escaped, over REST and MCP", async () => {
    const message = `.${"\u0001".repeat(1_048_575)}`;
    const ids = await Promise.all([spawn(), spawn()]);
    const [rest, mcp] = await Promise.all([
      overRest("send_to_instance", { instance_id: ids[0], message, wait_for_response: false }),
      mcpTool("send_to_instance", { instance_id: ids[1], message, wait_for_response: false }),
    ]);
    expect(rest.answer).toMatchObject({ success: true });
    expect(mcp).toMatchObject({ success: true });
    for (const id of ids) {
      const [first] = await until(async () => {
        const rows = await output(id);
        return rows.length > 0 && rows;
      });
      expect(first?.content).toBe(message);
    }
  });

  it.each([
    ["a list of types", { type: ["object", "null"], properties: { a: { type: "string" } } }],
    ["alternatives", { anyOf: [{ type: "object", properties: { a: { type: "string" } } }, { type: "null" }] }],
    ["a reference", { type: "object", properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: { type: "integer" } } }],
    ["a pattern", { type: "object", properties: { a: { type: "string", pattern: "^a+$" } } }],
  ])("takes a response_schema with %s", async (_what, schema) => {
    const id = await spawn();
    const answer = await send(id, "Answer.", { response_schema: schema });
    expect(answer).toMatchObject({ success: true, status: "completed", response: { structured: expect.anything() } });
  });
});

/** A refusal over REST before any tool is run. */
async function refusedBy(response: Response): Promise<Refusal> {
  expect(response.headers.get("content-type")).toContain("application/json");
  const answer = (await response.json()) as Refusal;
  expect(answer).toMatchObject({ success: false, error: expect.any(String), message: expect.any(String) });
  expect(response.status).toBe(ERROR_STATUS[answer.error]);
  expectPresentable(answer);
  expect((await request("/health")).status).toBe(200);
  return answer;
}

const TOO_MUCH = 8 * 1024 * 1024 + 1;

/** The same without a Content-Length. */
function streamed(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const size = Math.min(left, 1_048_576);
      left -= size;
      if (size === 0) controller.close();
      else controller.enqueue(new Uint8Array(size).fill(0x20));
    },
  });
}

describe("what reaches no tool", () => {
  it.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["two things", '{"tool":"get_instance_status"} {}'],
    ["an array", "[]"],
    ["a number", "42"],
    ["null", "null"],
    ["text", '"spawn_claude"'],
    ["a field that it doesn't take", '{"tool":"get_instance_status","params":{}}'],
    ["arguments in a list", '{"tool":"get_instance_status","arguments":[]}'],
    ["arguments as text", '{"tool":"get_instance_status","arguments":"{}"}'],
    [
      "arguments nested without end",
      `{"tool":"get_instance_status","arguments":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    ],
  ])("a body with %s is refused as invalid_input", async (_what, body) => {
    expect((await refusedBy(await postTool(body))).error).toBe("invalid_input");
  });

  it.each([
    ["no tool", "{}"],
    ["a number", '{"tool":7}'],
    ["null", '{"tool":null}'],
    ["a list", '{"tool":["a"]}'],
  ])("a body with %s for a tool is told which there are", async (_what, body) => {
    expect((await refusedBy(await postTool(body))).message).toContain("spawn_claude");
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""])(
    "a body of type %j is refused as unsupported_media_type",
    async (type) => {
      const answer = await refusedBy(await postTool('{"tool":"get_instance_status"}', { "content-type": type }));
      expect(answer.error).toBe("unsupported_media_type");
      expect(answer.message).toContain("application/json");
    },
  );

  it.each(["application/json; charset=utf-8", "Application/JSON"])("a body of type %j is taken", async (type) => {
    const response = await postTool('{"tool":"get_instance_status","arguments":{"limit":1}}', { "content-type": type });
    expect(response.status).toBe(200);
  });

  it.each([
    ["with its length", () => "x".repeat(TOO_MUCH)],
    ["without its length", () => streamed(TOO_MUCH)],
  ])("a body over the limit, %s, is refused as too_large", async (_what, body) => {
    expect((await refusedBy(await postTool(body()))).error).toBe("too_large");
  });

  it.each([
    ["with its length", () => "x".repeat(TOO_MUCH)],
    ["without its length", () => streamed(TOO_MUCH)],
  ])("a body over the limit, %s, is refused by MCP too", async (_what, body) => {
    const response = await postMcp(body());
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining("8388608") } });
    expect((await mcpTool("get_instance_status", { limit: 1 })).success).toBe(true);
  });

  it.each([
    ["DELETE", "/health", "GET"],
    ["POST", "/tools", "GET"],
    ["GET", "/tools/execute", "POST"],
    ["PUT", "/tools/execute", "POST"],
    ["POST", "/instances", "GET"],
    ["PUT", "/instances/inst_01", "GET, HEAD, DELETE"],
    ["GET", "/instances/inst_01/health", "POST"],
    ["DELETE", "/", "POST"],
  ])("%s %s is refused, and %s allowed", async (method, path, allowed) => {
    const response = await request(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toContain(allowed);
    expect((await refusedBy(response)).error).toBe("method_not_allowed");
  });

  it.each([
    "/nope",
    "/tools/",
    "/tools/execute/now",
    "/instances/a/b",
    "//",
    "/x%",
    "/%00",
    `/${"y".repeat(9_000)}`,
    "/.env",
  ])("there is nothing at %s", async (path) => {
    const response = await request(path);
    expect(response.status).toBe(404);
    expect((await refusedBy(response)).error).toBe("not_found");
  });

  it.each([
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "null",
    "garbage",
  ])("a page of origin %j may do nothing", async (origin) => {
    for (const response of [
      await request("/health", { headers: { origin } }),
      await postTool('{"tool":"get_instance_status"}', { origin }),
      await postMcp('{"jsonrpc":"2.0","id":1,"method":"tools/list"}', { origin }),
    ]) {
      expect((await refusedBy(response)).error).toBe("forbidden");
    }
  });

  it.each(["http://localhost:5173", "http://127.0.0.1", "http://[::1]:8001"])(
    "a page of origin %s may",
    async (origin) => {
      expect((await request("/health", { headers: { origin } })).status).toBe(200);
    },
  );

  it.each(["http://evil.example", "https://localhost.evil.example", "http://10.0.0.1:8001", "http://0.0.0.0"])(
    "asked for as %s it answers nobody",
    async (origin) => {
      for (const path of ["/health", "/tools", "/mcp", "/", "/instances", "/nope"]) {
        const response = await exports.default.fetch(new Request(origin + path, { method: "POST" }));
        expect((await refusedBy(response)).error).toBe("unauthorized");
      }
    },
  );

  it.each(["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"])("a caller from %s is not let in", async (address) => {
    const headers = { "cf-connecting-ip": address };
    const refusal = await refusedBy(await request("/tools", { headers }));
    expect(refusal).toMatchObject({ error: "unauthorized", message: expect.stringContaining("ACCESS_KEYS") });
    const health = await request("/health", { headers });
    expect(await health.json()).toEqual({ success: true, status: "healthy", version: VERSION });
  });

  it.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])("a caller from %s is", async (address) => {
    expect((await request("/tools", { headers: { "cf-connecting-ip": address } })).status).toBe(200);
  });
});

async function get(path: string): Promise<{ http: number; answer: Json }> {
  const response = await request(path);
  return { http: response.status, answer: (await response.json()) as Json };
}

interface Page {
  status: { instances: Record<string, { instance_id: string; role: string; state: string }>; total_instances: number };
  next_cursor: string | null;
}

async function page(query: Record<string, string | number>): Promise<Page> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const { http, answer } = await get(`/instances?${search}`);
  expect(http).toBe(200);
  expect(answer.success).toBe(true);
  return answer as unknown as Page;
}

const idsOn = (found: Page) => Object.keys(found.status.instances);

describe("the REST routes", () => {
  it("list the catalogue", async () => {
    const { answer } = await get("/tools");
    expect(answer.tools).toEqual(
      CATALOGUE.map((listed) => ({
        name: listed.name,
        title: listed.title,
        description: listed.description,
        input_schema: jsonSchemaOf(listed.input),
        output_schema: jsonSchemaOf(listed.output),
        annotations: listed.annotations,
      })),
    );
  });

  it("tell how the server is, and count its instances", async () => {
    const before = await get("/health");
    expect(before).toMatchObject({ http: 200, answer: { success: true, status: "healthy", version: VERSION } });
    const id = await spawn();
    await spawn();
    await tool("terminate_instance", { instance_id: id });
    const { answer: after } = await get("/health");
    expect(after.total_instances).toBe(Number(before.answer.total_instances) + 2);
    expect(after.active_instances).toBe(Number(before.answer.active_instances) + 1);
  });

  it("give an instance as the tool gives it", async () => {
    const id = await spawn({ role: "debugger" });
    await send(id, "Look at this.");
    const [rest, byTool] = [await get(`/instances/${id}`), await overRest("get_instance_status", { instance_id: id })];
    const still = ({ answer }: { answer: Json }) => ({
      ...answer,
      status: { ...(answer.status as object), uptime_seconds: 0 },
    });
    expect(still(rest)).toEqual(still(byTool));
    expect(rest).toMatchObject({ http: 200, answer: { status: { instance_id: id, role: "debugger" } } });
  });

  it("page through the instances, each once and in the order of their spawning", async () => {
    const parent = await spawn();
    const children: string[] = [];
    for (let i = 0; i < 7; i++) children.push(await spawn({ parent_instance_id: parent }));
    const found: string[] = [];
    const sizes: number[] = [];
    let cursor: string | null = null;
    do {
      const next: Page = await page({ parent_id: parent, limit: 3, ...(cursor === null ? {} : { cursor }) });
      found.push(...idsOn(next));
      sizes.push(idsOn(next).length);
      // One that is spawned meanwhile comes last, and moves no other.
      if (cursor === null) children.push(await spawn({ parent_instance_id: parent }));
      cursor = next.next_cursor;
    } while (cursor !== null);
    expect(found).toEqual(children);
    expect(sizes).toEqual([3, 3, 2]);
  });

  it("end a list that fills its last page exactly", async () => {
    const parent = await spawn();
    await spawn({ parent_instance_id: parent });
    await spawn({ parent_instance_id: parent });
    expect((await page({ parent_id: parent, limit: 2 })).next_cursor).toBeNull();
  });

  it("filter by parent, state and role, and by all at once", async () => {
    const parent = await spawn();
    const under = { parent_instance_id: parent };
    const architect = await spawn({ ...under, role: "architect" });
    const debug = await spawn({ ...under, role: "debugger" });
    const gone = await spawn({ ...under, role: "architect" });
    await tool("terminate_instance", { instance_id: gone });
    const ids = async (query: Record<string, string>) => idsOn(await page({ parent_id: parent, ...query }));
    expect(await ids({})).toEqual([architect, debug, gone]);
    expect(await ids({ state: "terminated" })).toEqual([gone]);
    expect(await ids({ state: "idle" })).toEqual([architect, debug]);
    expect(await ids({ role: "architect" })).toEqual([architect, gone]);
    expect(await ids({ role: "architect", state: "idle" })).toEqual([architect]);
    expect(await ids({ role: "data_analyst" })).toEqual([]);
    expect(idsOn(await page({ parent_id: architect }))).toEqual([]);
  });

  it("keep the totals whole, whatever is filtered", async () => {
    const [all, none] = [await page({ limit: 1 }), await page({ parent_id: newInstanceId() })];
    expect(none.status).toMatchObject({ instances: {}, total_instances: all.status.total_instances });
  });

  it.each([
    "limit=0",
    "limit=-1",
    "limit=1e9",
    "limit=501",
    "limit=1.5",
    "limit=ten",
    "limit=",
    "limit=%",
    "state=sleepy",
    "state=",
    "role=wizard",
    "parent_id=Ada",
    "cursor=17",
    "cursor=",
    "colour=red",
    "__proto__=1",
  ])("refuse the query %s", async (query) => {
    const response = await request(`/instances?${query}`);
    const refusal = await refusedBy(response);
    expect(refusal.error).toBe("invalid_input");
    expect(refusal.message).toContain(query.split("=")[0]);
  });

  it("examine an instance, used or not, working or ended", async () => {
    const id = await spawn();
    const check = async () => {
      const response = await request(`/instances/${id}/health`, { method: "POST" });
      return { http: response.status, ...((await response.json()) as Json) };
    };
    const fine = { http: 200, success: true, instance_id: id, state: "idle", healthy: true, health_score: 1 };
    expect(await check()).toMatchObject({ ...fine, checks: { reachable: true, working: false } });
    await send(id, "Hello.");
    expect(await check()).toMatchObject({ ...fine, checks: { queue_depth: 0, turn_started_at: null } });
    await tool("terminate_instance", { instance_id: id });
    expect(await check()).toMatchObject({ http: 200, success: true, state: "terminated", healthy: false });
  });

  it.each([
    ["GET", (id: string) => `/instances/${id}`],
    ["POST", (id: string) => `/instances/${id}/health`],
  ])("know no instance that isn't there (%s)", async (method, pathOf) => {
    expect((await refusedBy(await request(pathOf(newInstanceId()), { method }))).error).toBe("not_found");
    for (const id of ["Ada", "%00", "%E0%A4%A", "x".repeat(3_000), "inst_"]) {
      const response = await request(pathOf(id), { method });
      await refusedBy(response);
      expect(response.status).toBeLessThan(500);
    }
  });
});

describe("an Idempotency-Key", () => {
  const run = async (name: string, input: Input, key: string) => {
    const response = await postTool(JSON.stringify({ tool: name, arguments: input }), { "idempotency-key": key });
    return { http: response.status, answer: (await response.json()) as Json };
  };

  it("makes a repeated spawn one spawn", async () => {
    const key = crypto.randomUUID();
    const parent = await spawn();
    const input = { name: "Ada", parent_instance_id: parent, initial_prompt: "Begin." };
    const first = await run("spawn_claude", input, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true } });
    expect(await run("spawn_claude", input, key)).toEqual(first);
    // The order of the fields is not part of the request.
    expect(await run("spawn_claude", Object.fromEntries(Object.entries(input).reverse()), key)).toEqual(first);
    expect(idsOn(await page({ parent_id: parent }))).toEqual([first.answer.instance_id]);
  });

  it("makes spawns at the same time one spawn", async () => {
    const key = crypto.randomUUID();
    const parent = await spawn();
    const input = { name: "Ada", parent_instance_id: parent };
    const answers = await Promise.all(Array.from({ length: 8 }, () => run("spawn_claude", input, key)));
    expect(new Set(answers.map(({ answer }) => answer.instance_id)).size).toBe(1);
    expect(idsOn(await page({ parent_id: parent }))).toHaveLength(1);
  });

  it("makes a repeated message one message", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = { instance_id: id, message: "Once." };
    const first = await run("send_to_instance", input, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true, status: "completed" } });
    expect(await run("send_to_instance", input, key)).toEqual(first);
    const [one, two] = await Promise.all([1, 2].map(() => run("send_to_instance", input, key)));
    expect([one, two]).toEqual([first, first]);
    expect((await output(id)).map((row) => row.type)).toEqual(["user", "response"]);
  });

  it("still has the answer to a message when the instance has ended", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = { instance_id: id, message: "Last words?" };
    const first = await run("send_to_instance", input, key);
    await tool("terminate_instance", { instance_id: id });
    expect(await run("send_to_instance", input, key)).toEqual(first);
  });

  it("gives a repeated termination the first one's answer", async () => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const child = await spawn({ parent_instance_id: id });
    const first = await run("terminate_instance", { instance_id: id }, key);
    expect(first).toMatchObject({ http: 200, answer: { success: true, terminated: [child, id] } });
    expect(await run("terminate_instance", { instance_id: id }, key)).toEqual(first);
    const later = await tool("terminate_instance", { instance_id: id });
    expect(later).toMatchObject({ success: true, terminated: [] });
  });

  it.each([
    ["spawn_claude", () => ({ name: "Ada" }), { name: "Bo" }],
    ["send_to_instance", (id: string) => ({ instance_id: id, message: "One." }), { message: "Two." }],
    ["terminate_instance", (id: string) => ({ instance_id: id }), { force: true }],
  ])("of another %s is a conflict without effect", async (name, inputOf, other) => {
    const key = crypto.randomUUID();
    const id = await spawn();
    const input = inputOf(id);
    const first = await run(name, input, key);
    expect(first.http).toBe(200);
    const rows = await output(id);
    const second = await run(name, { ...input, ...other }, key);
    expect(second).toMatchObject({ http: 409, answer: { success: false, error: "conflict" } });
    expect(await output(id)).toEqual(rows);
    expect(await run(name, input, key)).toEqual(first);
  });

  it("in the arguments goes before the header", async () => {
    const [inside, outside] = [crypto.randomUUID(), crypto.randomUUID()];
    const first = await run("spawn_claude", { name: "Ada", idempotency_key: inside }, outside);
    const second = await run("spawn_claude", { name: "Ada", idempotency_key: inside }, crypto.randomUUID());
    expect(second.answer.instance_id).toBe(first.answer.instance_id);
    // The header's was not used up.
    expect((await run("spawn_claude", { name: "Bo" }, outside)).http).toBe(200);
  });

  it("is not used up by a call that failed", async () => {
    const key = crypto.randomUUID();
    const parent = newInstanceId();
    expect((await run("spawn_claude", { name: "Ada", parent_instance_id: parent }, key)).http).toBe(404);
    expect((await run("spawn_claude", { name: "Ada" }, key)).http).toBe(200);
  });

  it.each(["", "k".repeat(201)])(
    "of %j is refused where it counts, and nothing to a tool that only reads",
    async (key) => {
      expect(await run("spawn_claude", { name: "Ada" }, key)).toMatchObject({
        http: 400,
        answer: { error: "invalid_input", message: expect.stringContaining("idempotency_key") },
      });
      expect((await run("get_instance_status", { limit: 1 }, key)).http).toBe(200);
    },
  );

  it("of a call over REST is known over MCP", async () => {
    const key = crypto.randomUUID();
    const input = { name: "Ada" };
    const first = await run("spawn_claude", input, key);
    const answer = await mcpTool("spawn_claude", { ...input, idempotency_key: key });
    expect(answer).toEqual(first.answer);
  });
});
