/**
 * The file tools that an instance's model has. Each works on the instance's workspace, wherever that is; what changes
 * something is done once for each call, however often a crash makes it run.
 */
import * as z from "zod";
import type { InstanceTool, InstanceToolContext } from "../contracts/instance-tool.ts";
import type { Power } from "../contracts/powers.ts";
import { inputOf, schemaOf } from "../contracts/tool-input.ts";
import type { ToolPreset } from "../contracts/tool-presets.ts";
import { bytesOfContent, contentOfBytes } from "./content.ts";
import { mediaTypeOf } from "./media.ts";

const MAX_LISTED = 1_000;
const MAX_MATCHES = 200;
const MAX_LINES = 2_000;
/** base64 of this is about 60,000 characters. */
const MAX_BINARY_BYTES = 45_000;

const path = z.string().describe("Relative to the workspace, like src/app.ts");
const folder = z.string().default("").describe("Folder to look in; default: the whole workspace");
const cursor = z.string().optional().describe("Where the answer before said to go on");
const expected = z
  .string()
  .optional()
  .describe(
    'The version that you read: the change is refused if there is another by now; "new": only if nothing is there',
  );

function fileTool<Input extends z.ZodType<Record<string, unknown>>>(tool: {
  name: string;
  description: string;
  preset: ToolPreset;
  powers: readonly Power[];
  input: Input;
  run(input: z.output<Input>, context: InstanceToolContext): Promise<string>;
}): InstanceTool {
  return {
    name: tool.name,
    description: tool.description,
    input_schema: schemaOf(tool.input),
    preset: tool.preset,
    powers: tool.powers,
    repeatable: true,
    async run(input, context) {
      return { content: await tool.run(inputOf(tool.name, tool.input, input), context) };
    },
  };
}

/** A call's own key, so that running it again after a crash changes nothing. */
const once = (context: InstanceToolContext) => ({ idempotency: { key: `tool:${context.key}`, body_hash: "tool" } });

const expecting = (version: string | undefined) => (version === undefined ? {} : { expected: version });

export const FILE_TOOLS: readonly InstanceTool[] = [
  fileTool({
    name: "read_file",
    description:
      "Read a text file of your workspace, by lines, as far as fits into one answer. Says the file's version, and where to go on. With encoding base64 it reads bytes, of any file.",
    preset: "read_only",
    powers: ["read"],
    input: z.strictObject({
      path,
      start_line: z.int().min(1).default(1),
      max_lines: z.int().min(1).max(MAX_LINES).default(MAX_LINES),
      start_column: z.int().min(0).default(0).describe("Characters of the first line to skip, for very long lines"),
      encoding: z.enum(["utf-8", "base64"]).default("utf-8"),
      offset: z.int().min(0).default(0).describe("Only with base64: the first byte"),
      length: z.int().min(1).max(MAX_BINARY_BYTES).default(MAX_BINARY_BYTES).describe("Only with base64: bytes"),
    }),
    async run(input, { workspace }) {
      if (input.encoding === "base64") {
        const piece = await workspace.read(input.path, input);
        const end = piece.offset + piece.bytes.byteLength;
        const rest = end < piece.size ? ` Go on with offset=${end}.` : "";
        const head = `${piece.path}, bytes ${piece.offset} to ${end} of ${piece.size}, ${piece.media_type}, version ${piece.version}.${rest}`;
        return `${head}\n${contentOfBytes(piece.bytes, "base64", true).content}`;
      }
      const range = { start: input.start_line, max: input.max_lines, column: input.start_column };
      const found = await workspace.lines(input.path, range);
      const { next } = found;
      const column = next && next.column > 0 ? ` start_column=${next.column}` : "";
      const rest = next ? ` Go on with start_line=${next.line}${column}.` : " This is the end of the file.";
      const lines = found.last < found.first ? "no lines there" : `lines ${found.first} to ${found.last}`;
      return `${found.path}, ${lines}, ${found.size} bytes, version ${found.version}.${rest}\n${found.text}`;
    },
  }),
  fileTool({
    name: "write_file",
    description:
      "Create a file in your workspace, or replace it whole; folders come by themselves. To change a part, use edit_file.",
    preset: "standard",
    powers: ["write"],
    input: z.strictObject({
      path,
      content: z.string(),
      encoding: z.enum(["utf-8", "base64"]).default("utf-8").describe("base64 for what is no text"),
      expected_version: expected,
    }),
    async run(input, context) {
      const bytes = bytesOfContent(input.content, input.encoding);
      const options = { ...once(context), ...expecting(input.expected_version) };
      const file = await context.workspace.write(input.path, bytes, options);
      return `${file.created ? "Created" : "Replaced"} ${file.path}: ${file.size} bytes, version ${file.version}.`;
    },
  }),
  fileTool({
    name: "edit_file",
    description:
      "Replace a text in a file of your workspace. old_text has to be there exactly as given, white space included, and only once, unless replace_all is set.",
    preset: "standard",
    powers: ["write"],
    input: z.strictObject({
      path,
      old_text: z.string(),
      new_text: z.string(),
      replace_all: z.boolean().default(false),
      expected_version: expected,
    }),
    async run(input, context) {
      const edit = { old: input.old_text, new: input.new_text, all: input.replace_all };
      const options = { ...once(context), ...expecting(input.expected_version) };
      const file = await context.workspace.edit(input.path, edit, options);
      const times = file.replacements === 1 ? "" : ` (${file.replacements} times)`;
      return `Replaced at line ${file.line} of ${file.path}${times}: ${file.size} bytes, version ${file.version}.`;
    },
  }),
  fileTool({
    name: "list_files",
    description: "List what is in a folder of your workspace, with sizes; recursive for everything below it.",
    preset: "read_only",
    powers: ["read"],
    input: z.strictObject({
      folder,
      recursive: z.boolean().default(false),
      limit: z.int().min(1).max(MAX_LISTED).default(200),
      cursor,
    }),
    async run(input, { workspace }) {
      return listed(await workspace.list({ ...input, pattern: null, cursor: input.cursor ?? null }));
    },
  }),
  fileTool({
    name: "find_files",
    description:
      "Find files of your workspace by name: * and ? within a name, ** for any folders (src/**/*.ts). A pattern without a slash is for names anywhere.",
    preset: "read_only",
    powers: ["read"],
    input: z.strictObject({
      pattern: z.string().min(1).max(1_000),
      folder,
      limit: z.int().min(1).max(MAX_LISTED).default(200),
      cursor,
    }),
    async run(input, { workspace }) {
      return listed(await workspace.list({ ...input, recursive: true, cursor: input.cursor ?? null }));
    },
  }),
  fileTool({
    name: "search_files",
    description:
      "Search the text files of your workspace, line by line. The pattern is literal, with regex an expression in RE2's syntax (no look-around, no backreferences).",
    preset: "read_only",
    powers: ["read"],
    input: z.strictObject({
      pattern: z.string().min(1),
      regex: z.boolean().default(false),
      ignore_case: z.boolean().default(false),
      folder: folder.describe("Folder or file to search; default: the whole workspace"),
      include: z.string().max(1_000).optional().describe("Only files that fit, like *.ts"),
      context: z.int().min(0).max(10).default(0).describe("Lines to show around a match"),
      limit: z.int().min(1).max(MAX_MATCHES).default(50),
      cursor,
    }),
    async run(input, { workspace }) {
      const { ignore_case: ignoreCase, include = null, cursor: from = null, ...query } = input;
      const answer = await workspace.search({ ...query, ignoreCase, include, cursor: from });
      const { matches, files, next, searched } = answer;
      const where = searched === null ? "" : ` Searched up to line ${searched.line} of ${searched.path}.`;
      const rest = next === null ? "." : ` so far.${where} Go on with cursor=${JSON.stringify(next)}.`;
      const head = `${matches.length} ${matches.length === 1 ? "match" : "matches"} in ${files} text files${rest}`;
      const shown = matches.map(({ path: file, line, text, before, after }) =>
        [
          ...before.map((near, i) => `${file}-${line - before.length + i}- ${near}`),
          `${file}:${line}: ${text}`,
          ...after.map((near, i) => `${file}-${line + 1 + i}- ${near}`),
        ].join("\n"),
      );
      return [head, ...shown].join(query.context > 0 ? "\n--\n" : "\n");
    },
  }),
  fileTool({
    name: "move_file",
    description: "Move or rename a file or a folder of your workspace.",
    preset: "standard",
    powers: ["write"],
    input: z.strictObject({
      from: path,
      to: path,
      overwrite: z.boolean().default(false).describe("Replace a file that is there"),
      expected_version: expected,
    }),
    async run(input, context) {
      const options = { ...once(context), ...expecting(input.expected_version), overwrite: input.overwrite };
      const moved = await context.workspace.move(input.from, input.to, options);
      return `Moved ${input.from} to ${moved.path}, version ${moved.version}.`;
    },
  }),
  fileTool({
    name: "delete_file",
    description:
      "Delete a file of your workspace, or with recursive a folder and everything in it. It can't be undone.",
    preset: "standard",
    powers: ["write"],
    input: z.strictObject({ path, recursive: z.boolean().default(false), expected_version: expected }),
    async run(input, context) {
      const options = { ...once(context), ...expecting(input.expected_version), recursive: input.recursive };
      const { files, bytes } = await context.workspace.delete(input.path, options);
      return `Deleted ${input.path}: ${files} ${files === 1 ? "file" : "files"}, ${bytes} bytes.`;
    },
  }),
];

function listed({ entries, next }: { entries: { path: string; type: string; size: number }[]; next: string | null }) {
  if (entries.length === 0) return "There is nothing.";
  const lines = entries.map(({ path: name, type, size }) =>
    type === "folder"
      ? `${name}/`
      : `${name} (${size} bytes${mediaTypeOf(name).startsWith("image/") ? ", image" : ""})`,
  );
  if (next !== null) lines.push(`There are more: go on with cursor=${JSON.stringify(next)}.`);
  return lines.join("\n");
}
