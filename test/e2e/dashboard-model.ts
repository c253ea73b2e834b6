/**
 * The model behind the dashboard's tests: what a message says decides what is done for it.
 */
import type { Script, ScriptCall } from "../../src/anthropic/simulator/script.ts";

const LONG = Array.from(
  { length: 60 },
  (_, i) => `${i + 1}. The part that comes next, described in a sentence that takes its time.`,
).join("\n");

let ballots = 0;

/**
 * `ask me`: it asks a question with options, then says what it was told. `file`: it writes a file. `slowly`: a long answer, bit by
 * bit. `much`: an answer that costs. Everything else: a short answer.
 */
export function dashboardModel(call: ScriptCall): Script | undefined {
  const told = call.lastUserText;
  const schema = JSON.stringify((call.body.output_config as { format?: unknown } | undefined)?.format ?? null);
  if (schema.includes('"confidence"')) {
    // Whoever is asked third and after it chooses the other one.
    const choices = /"enum":(\["[^\]]*\])/.exec(schema)?.[1] ?? "[]";
    const choice = (JSON.parse(choices) as string[])[ballots++ % 4 === 2 ? 1 : 0];
    return {
      blocks: [
        {
          type: "text",
          text: JSON.stringify({
            choice,
            confidence: 0.8,
            reasons: "It is what the team can run without asking anybody, and the data fits into it.",
          }),
        },
      ],
    };
  }
  if (schema !== "null") return undefined;
  const [result] = call.toolResults;
  if (result) return { blocks: [{ type: "text", text: `Noted. ${result.text.slice(0, 200)}` }] };
  if (told.includes("ask me")) {
    return {
      blocks: [
        { type: "text", text: "Before I go on I need to know one thing." },
        {
          type: "tool_use",
          name: "ask",
          input: {
            question: "Which database should the task service use? The data is small and relational.",
            options: ["PostgreSQL", "SQLite", "Decide yourself"],
          },
        },
      ],
    };
  }
  if (told.includes("file")) {
    return {
      blocks: [
        { type: "text", text: "I write it down." },
        {
          type: "tool_use",
          name: "write_file",
          input: { path: "docs/plan.md", content: "# Plan\n\n1. Users\n2. Projects\n3. Tasks\n" },
        },
      ],
    };
  }
  if (told.includes("slowly")) return { blocks: [{ type: "text", text: LONG }], chunkDelayMs: 60, chunkChars: 12 };
  if (told.includes("much")) return { blocks: [{ type: "text", text: LONG.repeat(3) }] };
  return {
    blocks: [
      {
        type: "text",
        text: "A task-management app needs three parts: users, projects and tasks with due dates.\n\nThe data model is small:\n\n```ts\ninterface Task {\n  id: string;\n  title: string;\n  dueAt: Date | null;\n}\n```\n\nEverything else follows from who may see which project.",
      },
    ],
  };
}
