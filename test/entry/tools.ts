import type { InstanceTool, InstanceToolContext } from "../../src/contracts/instance-tool.ts";

const anything = { type: "object", properties: { value: { type: "string" } } };

/**
 * Each run is told to the address in `value` when it is a URL, so that a test outside can count runs; else to
 * `ranTools`, for tests in the same isolate.
 */
export const ranTools: { tool: string; key: string; value: string }[] = [];

async function ran(tool: string, input: Record<string, unknown>, context: InstanceToolContext): Promise<void> {
  const value = String(input.value ?? "");
  ranTools.push({ tool, key: context.key, value });
  if (value.startsWith("http://127.0.0.1")) {
    await fetch(`${value}?tool=${tool}&key=${encodeURIComponent(context.key)}`, { method: "POST" });
  }
}

export const TEST_TOOLS: readonly InstanceTool[] = [
  {
    name: "lookup",
    description: "Repeatable: reading it twice changes nothing.",
    input_schema: anything,
    repeatable: true,
    powers: ["read"],
    preset: "read_only",
    async run(input, context) {
      await ran("lookup", input, context);
      return { content: `found ${String(input.value ?? "nothing")}` };
    },
  },
  {
    name: "charge",
    description: "Not repeatable: each run counts.",
    input_schema: anything,
    repeatable: false,
    powers: ["spend"],
    preset: "read_only",
    async run(input, context) {
      await ran("charge", input, context);
      return { content: "charged" };
    },
  },
  {
    name: "slow",
    description: "Takes as many milliseconds as its value says.",
    input_schema: anything,
    repeatable: true,
    powers: [],
    preset: "read_only",
    async run(input, context) {
      await ran("slow", input, context);
      await new Promise((done) => setTimeout(done, Number(input.value) || 300));
      return { content: "done at last" };
    },
  },
  {
    name: "large",
    description: "Answers with as many words as its value says.",
    input_schema: anything,
    repeatable: true,
    powers: [],
    preset: "read_only",
    async run(input, context) {
      await ran("large", input, context);
      return { content: "word ".repeat(Number(input.value) || 1) };
    },
  },
  {
    name: "failing",
    description: "Fails.",
    input_schema: anything,
    repeatable: true,
    powers: [],
    preset: "read_only",
    async run(input, context) {
      await ran("failing", input, context);
      throw new Error("the disk is on fire");
    },
  },
];
