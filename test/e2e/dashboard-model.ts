/**
 * The model behind the dashboard's tests: what a message says decides what is done for it.
 */
import type { Script, ScriptCall } from "../../src/claude/simulator/script.ts";

const LONG = Array.from(
  { length: 60 },
  (_, i) => `${i + 1}. The part that comes next, described in a sentence that takes its time.`,
).join("\n");

/**
 * Begins with `ask`: it asks a question with options, then says what it was told. `file`: it writes a file. `slowly`: a long answer, bit by
 * bit. `much`: an answer that costs. Everything else: a short answer.
 */
export function dashboardModel(call: ScriptCall): Script {
  const told = call.lastUserText;
  const [result] = call.toolResults;
  if (result) return { blocks: [{ type: "text", text: `Noted. ${result.text.slice(0, 200)}` }] };
  if (/^ask\b/.test(told)) {
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
