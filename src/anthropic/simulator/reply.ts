/**
 * What the simulator says when no script tells it: a short, honest answer that can't be taken for a model's. It depends
 * on nothing but the request, and reacts to no word in it.
 */
import { schemaInText } from "../answer-format/description.ts";
import { minimalInstance } from "./minimal-instance.ts";
import { lastToolResults, lastUserText, type Script } from "./script.ts";
import { MAX_CHARACTERS_PER_TOKEN } from "./tokens.ts";
import { blocksOf, isObject, type Json, messagesOf } from "./wire.ts";

/** What an instance may take above its characters: some steps write nothing. */
const SPARE_STEPS = 10_000;

/** Longest part of the user's text that is quoted, in characters. */
const QUOTE_CHARS = 160;

/** What a real model would do, by a word in the name of the role. The first that fits is taken. */
const WORK: readonly (readonly [word: RegExp, work: string])[] = [
  [
    /coordinat|supervis|lead|manager/,
    "split this into tasks, hand them to its instances and put their results together",
  ],
  [/architect/, "weigh the structure, name the trade-offs and propose a design"],
  [/front-?_?end/, "work on the interface: components, state, accessibility"],
  [/back-?_?end/, "work on the service: data, interfaces, failure cases"],
  [/test|quality/, "list the cases worth testing and write the tests"],
  [/doc|writer/, "write this up for the people who will read it"],
  [/review/, "read the change and report what it would not let pass"],
  [/debug/, "reproduce the fault, narrow it down and name the cause"],
  [/secur/, "look for what an attacker could do with this"],
  [/data|analy/, "look at the numbers before it says anything about them"],
];
const ANY_WORK = "work on this and report back";

/** The default answer, made for a model that writes at most `maxOutput` tokens. */
export function defaultAnswer(body: Json, maxOutput: number): Pick<Script, "blocks" | "stopReason"> {
  const schema = outputSchema(body) ?? schemaInText(lastUserText(body));
  if (!schema) return { blocks: [{ type: "text", text: defaultText(body) }] };
  const tokens = typeof body.max_tokens === "number" ? Math.min(body.max_tokens, maxOutput) : maxOutput;
  const { value, whole } = minimalInstance(schema, tokens * MAX_CHARACTERS_PER_TOKEN + SPARE_STEPS);
  const text = JSON.stringify(value);
  if (whole) return { blocks: [{ type: "text", text }] };
  // What is left off does not fit into the answer: it ends as one that was cut there, which is no JSON.
  return { blocks: [{ type: "text", text: text.slice(0, -1) }], stopReason: "max_tokens" };
}

function defaultText(body: Json): string {
  const role = roleOf(body);
  const results = lastToolResults(body);
  const asked = lastUserText(body);
  const count = messagesOf(body).length;
  const parts = [
    `This is a simulated reply${role ? ` in the role of ${role}` : ""}: no model was called, and nothing was worked out.`,
  ];
  if (results.length > 0) {
    const failed = results.filter((result) => result.isError).length;
    const errors = failed > 0 ? `, ${failed} of them an error` : "";
    parts.push(`It received ${results.length} tool ${results.length === 1 ? "result" : "results"}${errors}.`);
  }
  if (asked !== "") parts.push(`The last text from the user begins: “${quote(asked)}”`);
  parts.push(`The conversation now holds ${count} ${count === 1 ? "message" : "messages"}.`);
  const name = role?.toLowerCase() ?? "";
  const work = WORK.find(([word]) => word.test(name))?.[1] ?? ANY_WORK;
  parts.push(`A real model would now ${work}; set ANTHROPIC_API_KEY to have one answer.`);
  return parts.join(" ");
}

/** The role named in the system prompt's first line ("You are a careful architect. ..."); null when it names none. */
function roleOf(body: Json): string | null {
  const first = blocksOf(body.system)[0]?.text;
  const line = typeof first === "string" ? (first.trim().split("\n", 1)[0] ?? "") : "";
  const named =
    line.match(/^you are (?:an? |the )?([^.,;:!?]{2,80})/i)?.[1] ?? line.match(/^#*\s*role:\s*(.{2,80})$/i)?.[1];
  // Only the name: what the role does stands in the rest of the sentence.
  return named?.split(/ (?:who|that|which) /)[0]?.trim() || null;
}

function quote(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  if (line.length <= QUOTE_CHARS) return line;
  return `${line
    .slice(0, QUOTE_CHARS)
    .toWellFormed()
    .replace(/\uFFFD$/, "")}…`;
}

function outputSchema(body: Json): Json | null {
  const format = isObject(body.output_config) ? body.output_config.format : null;
  return isObject(format) && isObject(format.schema) ? format.schema : null;
}
