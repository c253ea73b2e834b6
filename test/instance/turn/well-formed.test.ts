/**
 * Half a character in what a model says or calls: the API refuses a request that holds one, so nothing that is stored may.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { send, spawn } from "../../support/door.ts";
import { installModel, type Script, scriptModel } from "../../support/model.ts";

installModel();
const HALF = "\ud83d";
const scripts = new Map<string, Script[]>();

beforeAll(() => {
  scriptModel((call) => scripts.get(/<([^>]+)>/.exec(JSON.stringify(call.body.messages))?.[1] ?? "")?.shift());
});
afterAll(() => scriptModel(() => undefined));

const done: Script = { blocks: [{ type: "text", text: "Done." }] };
const use = (name: string, input: Record<string, unknown>): Script => ({ blocks: [{ type: "tool_use", name, input }] });

describe("half a character", () => {
  it.each<[string, Script[]]>([
    ["in an answer", [{ blocks: [{ type: "text", text: `Half: ${HALF}` }] }]],
    ["in a tool's input", [use("lookup", { value: `x${HALF}` }), done]],
    ["in a name within a tool's input", [use("lookup", { value: "x", [`more${HALF}`]: [HALF] }), done]],
    ["in the name of a tool", [use(`look${HALF}`, { value: "x" }), done]],
    [
      "in a file that is written and read",
      [use("write_file", { path: "a.txt", content: HALF }), use("read_file", { path: "a.txt" }), done],
    ],
  ])("%s does not end the instance", async (what, script) => {
    scripts.set(what, [...script]);
    const id = await spawn();
    expect(await send(id, `Go. <${what}>`)).toMatchObject({ status: "completed" });
    expect(await send(id, "hi")).toMatchObject({ status: "completed" });
  });
});
