/**
 * Every tool over REST and MCP, and every route, with input made from its schema and with input that was broken: no 5xx, no
 * hung call, nothing stored by a call that was refused. `npm run fuzz` tries 10,000 cases; the suite tries a few of them.
 * The seed makes a run repeatable; a case that fails is shown.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { nameOf, type Route } from "../../src/http/route.ts";
import { ROUTES } from "../../src/http/routes.ts";
import { questionIdOf } from "../../src/platform/ids.ts";
import { CATALOGUE } from "../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../src/tools/runtime/tool.ts";
import { request, send, spawn, tool } from "../support/door.ts";
import { anything, broken, fromSchema, type Json, type Known, type Schema } from "../support/from-schema.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { rowsOf, watchRows } from "../support/rows.ts";

const CASES = inject("fuzzCases");
const SEED = inject("fuzzSeed");
/** Longer than any call may take, and far longer than one does. */
const PATIENCE_MS = 60_000;

/** One request. `what` says what it is a case of. */
interface Case {
  what: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | null;
}

/** Ids that exist. */
let ids: { instances: string[]; messages: string[]; jobs: string[]; questions: string[] };

installModel();
beforeAll(async () => {
  scriptModel(() => undefined);
  await watchRows();
  const top = await spawn({ name: "Top" });
  const child = await spawn({ name: "Child", parent_instance_id: top });
  const ended = await spawn({ name: "Ended" });
  const sent = await send(top, "Hello.");
  await tool("write_instance_file", { instance_id: top, path: "notes/a.txt", content: "one\ntwo\n" });
  await tool("terminate_instance", { instance_id: ended });
  const job = await tool("coordinate_instances", {
    coordinator_id: top,
    participant_ids: [child],
    task_description: "Build.",
  });
  ids = {
    instances: [top, child, ended],
    messages: [String(sent.message_id)],
    jobs: [String(job.task_id)],
    questions: [questionIdOf(top, 1)],
  };
});

const oneOf = (values: readonly string[]): fc.Arbitrary<Json> => fc.constantFrom(...values);

/** Ids that mean something, and no long waits: a call that waits is not a call that hangs. */
const known: Known = (field) => {
  const { instances, messages, jobs, questions } = ids;
  switch (field) {
    case "instance_id":
    case "root_id":
    case "parent_id":
    case "parent_instance_id":
    case "coordinator_id":
    case "from_instance_id":
    case "to_instance_id":
    case "participant_ids[]":
      return oneOf(instances);
    case "ids[]":
      return oneOf([...instances, ...messages, ...jobs]);
    case "job_id":
      return oneOf(jobs);
    case "question_id":
      return oneOf(questions);
    case "path":
    case "to_path":
      return fc.oneof(oneOf(["notes/a.txt", "notes", "new.txt"]), fc.string({ maxLength: 20 }));
    case "template":
      return oneOf(["research", "software_engineering"]);
    case "timeout_seconds":
    case "step_timeout_seconds":
      return fc.constant(1);
    default:
      return undefined;
  }
};

const JSON_HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** What is put into a path or a query where an id or a name belongs. */
const part = () =>
  fc.oneof(
    fc.constantFrom(
      ...ids.instances,
      ...ids.jobs,
      ...ids.questions,
      "research",
      "notes/a.txt",
      "notes",
      "%",
      "%ff",
      "..",
    ),
    fc.string({ maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
  );

function toolCases(): fc.Arbitrary<Case>[] {
  return CATALOGUE.flatMap(({ name, input }) => {
    const valid = fromSchema(jsonSchemaOf(input) as Schema, known);
    return [valid, broken(valid), broken(valid)].flatMap((arguments_) => [
      arguments_.map(
        (value): Case => ({
          what: `${name} over REST`,
          method: "POST",
          path: "/tools/execute",
          headers: JSON_HEADERS,
          body: JSON.stringify({ tool: name, arguments: value }),
        }),
      ),
      arguments_.map(
        (value): Case => ({
          what: `${name} over MCP`,
          method: "POST",
          path: "/mcp",
          headers: JSON_HEADERS,
          body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: value } }),
        }),
      ),
    ]);
  });
}

/** Calls of MCP that are no calls of tools, and calls that are broken as such. */
function envelopeCases(): fc.Arbitrary<Case>[] {
  const methods = ["initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read", "tasks/get"];
  const envelope = fc.record({
    jsonrpc: fc.constant("2.0"),
    id: fc.constantFrom<Json>(1, "one"),
    method: fc.constantFrom(...methods, "resources/templates/list", "tasks/cancel", "prompts/list", "nothing/such"),
    params: anything,
  }) as fc.Arbitrary<Json>;
  return [envelope, broken(envelope), anything].map((value) =>
    value.map(
      (body): Case => ({
        what: "an envelope",
        method: "POST",
        path: "/mcp",
        headers: JSON_HEADERS,
        body: JSON.stringify(body),
      }),
    ),
  );
}

function routeCases(): fc.Arbitrary<Case>[] {
  const query = (route: Route) =>
    fc.dictionary(
      fc.constantFrom(...Object.keys(route.query.schema()?.properties ?? { state: {} }), "x"),
      fc.oneof(fc.constantFrom("1", "true", "idle", "-1", "1e9", ""), fc.string({ maxLength: 8 })),
      { maxKeys: 3 },
    );
  const headers = fc.record(
    {
      "content-type": fc.constantFrom("application/json", "text/plain", "application/octet-stream", "x", ""),
      accept: fc.constantFrom("application/json", "text/event-stream", "*/*"),
      range: fc.constantFrom("bytes=0-1", "bytes=9-1", "bytes=-5", "bytes=99999-", "rows=1-2", "bytes=0-1,3-4"),
      "if-match": fc.constantFrom("*", '"1"', "x"),
      "last-event-id": fc.constantFrom("0", "1", "-1", "x", "9".repeat(30)),
      "idempotency-key": fc.string({ minLength: 1, maxLength: 8, unit: "grapheme-ascii" }),
      "mcp-protocol-version": fc.constantFrom("2025-11-25", "2026-07-28", "1999-01-01"),
    },
    { requiredKeys: ["content-type"] },
  ) as fc.Arbitrary<Record<string, string>>;
  const body = fc.oneof(
    anything.map((value) => JSON.stringify(value)),
    fc.string({ maxLength: 200 }),
    fc.constantFrom("", "{", '{"a":1}', "\0", "null", "[]"),
  );
  return ROUTES.map((route) =>
    fc.tuple(part(), part(), query(route), headers, body).map(([id, rest, asked, given, text]): Case => {
      const { method } = route;
      const path = route.path.replace(":id", id).replace(":name", id).replace("*", rest);
      const search = new URLSearchParams(
        Object.entries(asked).map(([name, value]) => [name, value.toWellFormed()]),
      ).toString();
      return {
        what: nameOf(route),
        method,
        path: search ? `${path}?${search}` : path,
        headers: given,
        body: method === "GET" ? null : text,
      };
    }),
  );
}

interface Outcome {
  status: number;
  /** What came, if it came as JSON; an event stream is not read to its end. */
  text: string;
}

async function perform({ method, path, headers, body }: Case): Promise<Outcome> {
  const response = await request(path, { method, headers, body, redirect: "manual" });
  const type = response.headers.get("content-type") ?? "";
  const endless = type.startsWith("text/event-stream") && !path.startsWith("/mcp");
  if (endless) {
    await response.body?.cancel();
    return { status: response.status, text: "" };
  }
  return { status: response.status, text: await response.text() };
}

/** The answer of a tool or a route, out of what carries it. */
function answerIn(text: string): Record<string, unknown> | null {
  const data = text.match(/^data: (\{.*\})$/m)?.[1] ?? text;
  try {
    const parsed = JSON.parse(data) as { result?: { structuredContent?: Record<string, unknown> } };
    return parsed?.result?.structuredContent ?? (parsed as Record<string, unknown>);
  } catch {
    return null;
  }
}

/** That somebody tried to change something is on record, refused or not: an event and its index. */
const ON_RECORD = 2;

/** Refused before anything was begun: what was accepted and came to nothing has an id to ask for. */
function isRefusal({ status, text }: Outcome): boolean {
  const answer = answerIn(text);
  if (answer && answer.success === false) return answer.message_id === undefined && answer.status === undefined;
  return status >= 400;
}

/** What is wrong with how a case was answered; null: nothing. */
async function problemWith(one: Case): Promise<string | null> {
  let outcome: Outcome | "hung" = "hung";
  const run = async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<"hung">((gone) => {
      timer = setTimeout(() => gone("hung"), PATIENCE_MS);
    });
    outcome = await Promise.race([perform(one), patience]);
    clearTimeout(timer);
  };
  for (let attempt = 0; ; attempt++) {
    const { written } = await rowsOf(run);
    const seen = outcome as Outcome | "hung";
    if (seen === "hung") return "no answer";
    if (seen.status >= 500 || answerIn(seen.text)?.error === "internal") return `HTTP ${seen.status}: ${seen.text}`;
    if (written === 0 || written === ON_RECORD || !isRefusal(seen)) return null;
    // Work that an earlier call began writes too. What the refused call itself writes, it writes every time.
    if (attempt === 20) return `refused, and ${written} rows written: ${seen.text}`;
    await new Promise((done) => setTimeout(done, 100));
  }
}

async function expectNoProblem(cases: readonly Case[]): Promise<void> {
  const problems: string[] = [];
  for (const one of cases) {
    const problem = await problemWith(one);
    if (problem === null) continue;
    problems.push(`${one.what}: ${problem.slice(0, 400)}\n  ${JSON.stringify(one).slice(0, 1_000)}`);
    if (problems.length === 20) break;
  }
  expect(problems, problems.join("\n")).toEqual([]);
}

/** `count` cases, the same number of each kind. */
function sample(kinds: readonly fc.Arbitrary<Case>[], count: number, seed: number): Case[] {
  const each = Math.max(1, Math.round(count / kinds.length));
  return kinds.flatMap((kind, i) => fc.sample(kind, { numRuns: each, seed: seed + i }));
}

describe(`input from schemas, seed ${SEED}`, () => {
  const timeout = 60_000 + CASES * 200;

  it(
    "and broken input is answered or refused by every tool",
    async () => {
      await expectNoProblem(sample(toolCases(), CASES * 0.6, SEED));
    },
    timeout,
  );

  it(
    "is answered or refused by every route",
    async () => {
      await expectNoProblem(sample(routeCases(), CASES * 0.35, SEED));
    },
    timeout,
  );

  it(
    "makes no envelope that the MCP endpoint can't take",
    async () => {
      await expectNoProblem(sample(envelopeCases(), CASES * 0.05, SEED));
    },
    timeout,
  );
});
