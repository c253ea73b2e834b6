/**
 * The answer to `tools/list`. It is in the context of every conversation that uses the server, so it has what a model needs
 * to call a tool well, and leaves out what the dispatcher checks and explains anyway.
 */
import { CATALOGUE } from "../../tools/runtime/catalogue.ts";
import { type Annotations, jsonSchemaOf, type Tool } from "../../tools/runtime/tool.ts";
import { appMeta } from "./app.ts";

type Schema = Record<string, unknown>;

/** The tools that a client which loads tools by need has from the start: the pattern spawn, send, wait, read, end. */
const CORE: ReadonlySet<string> = new Set([
  "spawn_claude",
  "send_to_instance",
  "wait",
  "get_instance_output",
  "get_instance_status",
]);

/** Characters of an answer that stay in the conversation, for tools whose answers are long: Claude Code's own cap is lower. */
const LONG_ANSWERS: Readonly<Record<string, number>> = {
  wait: 120_000,
  send_to_instance: 120_000,
  get_instance_output: 120_000,
};

/** Each made once: the catalogue never changes. */
const LISTED = new Map<boolean, { tools: Schema[] }>();

/** `apps`: whether the client shows MCP Apps, so that it is told which tools have one. */
export function toolList(apps: boolean): { tools: Schema[] } {
  const listed = LISTED.get(apps) ?? { tools: CATALOGUE.map((tool) => listingOf(tool, apps)) };
  LISTED.set(apps, listed);
  return listed;
}

function listingOf(tool: Tool, apps: boolean): Schema {
  const meta = {
    ...(apps ? appMeta(tool.name) : {}),
    ...(CORE.has(tool.name) ? { "anthropic/alwaysLoad": true } : {}),
    ...(LONG_ANSWERS[tool.name] === undefined ? {} : { "anthropic/maxResultSizeChars": LONG_ANSWERS[tool.name] }),
  };
  return {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: brief(jsonSchemaOf(tool.input)),
    // The title again: clients of the first revisions look here.
    annotations: { title: tool.title, ...hintsOf(tool.annotations) },
    ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}),
  };
}

/** The two hints that clients ask for, and of the others what is not their default. */
function hintsOf({ idempotentHint, openWorldHint, ...asked }: Annotations): Partial<Annotations> {
  return {
    ...asked,
    ...(idempotentHint ? { idempotentHint } : {}),
    ...(openWorldHint ? {} : { openWorldHint }),
  };
}

const UPPER_BOUNDS: ReadonlySet<string> = new Set(["maxLength", "maxItems", "maximum"]);
/** An upper bound from here on is met by mistakes only. */
const FAR = 100;

/** What goes without saying, and what only a breach needs to be told. */
const SAYS_NOTHING: ReadonlySet<string> = new Set(["minLength", "exclusiveMinimum", "propertyNames"]);

/** A schema that takes everything the whole one takes: without far bounds, and without what says nothing. */
export function brief(schema: Schema): Schema {
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => {
      if (UPPER_BOUNDS.has(key) && typeof value === "number" && value >= FAR) return [];
      if (key === "minimum" && typeof value === "number" && value <= -FAR) return [];
      // A field that there is not is refused in words.
      if (key === "additionalProperties" && !isSchema(value)) return [];
      if (SAYS_NOTHING.has(key) || (key === "type" && "enum" in schema)) return [];
      if (key === "properties") return [[key, mapValues(value as Record<string, Schema>, brief)]];
      if (key === "anyOf") return [[key, (value as Schema[]).map(brief)]];
      if (key === "items" || (key === "additionalProperties" && isSchema(value)))
        return [[key, brief(value as Schema)]];
      return [[key, value]];
    }),
  );
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null;
}

function mapValues(record: Record<string, Schema>, change: (value: Schema) => Schema): Record<string, Schema> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}
