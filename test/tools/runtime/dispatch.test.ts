/**
 * A tool's input: what is wrong is refused alike over REST and MCP, in the same words, and what is just within its bounds is taken.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { CATALOGUE } from "../../../src/tools/runtime/catalogue.ts";
import { jsonSchemaOf } from "../../../src/tools/runtime/tool.ts";
import { BAD_INPUTS } from "../../support/bad-inputs.ts";
import { output, send, spawn, status, until } from "../../support/door.ts";
import { mcpTool } from "../../support/mcp.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { overRest, refusedOverBoth } from "../../support/refusals.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

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

describe("a call that is wrong over REST and MCP alike", () => {
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

describe("input just within its bounds", () => {
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
