/**
 * What MCP clients can attach or read by URI. `TEMPLATES` has a row per kind of resource. Reading needs the same scopes as the
 * tools that show the same.
 */
import {
  ProtocolError,
  type Resource,
  ResourceNotFoundError,
  type Server,
  UriTemplate,
} from "@modelcontextprotocol/server";
import { type FileInfo, MAX_PIECE_BYTES } from "../../contracts/workspace.ts";
import { workspaceOf } from "../../contracts/workspace-rpc.ts";
import { type ErrorBody, type ErrorCode, failureOf, MadroxError } from "../../platform/errors.ts";
import { isInstanceId } from "../../platform/ids.ts";
import { dispatch } from "../../tools/runtime/dispatch.ts";
import type { ToolAnswer } from "../../tools/runtime/tool.ts";
import { contentOfBytes } from "../../workspace/content.ts";
import type { CallContext } from "../context.ts";
import { APP_RESOURCE, APP_URI, readApp } from "./app.ts";
import type { McpRequestContext } from "./endpoint.ts";

/** Bytes of a file that is read as a resource: it goes into a conversation whole, there is no asking for a part. */
const MAX_RESOURCE_BYTES = 1024 * 1024;
/** Entries of a folder that is read as a resource. */
const MAX_ENTRIES = 1_000;
/** Characters of a conversation that is read as a resource, the newest. */
const MAX_TRANSCRIPT_CHARS = 100_000;
/** Instances whose files and conversations are listed, the newest: clients ask for the list at every connection. */
const MAX_LISTED = 50;

const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;

type Content = { mimeType: string } & ({ text: string } | { blob: string });

export interface ResourceTemplate {
  name: string;
  title: string;
  description: string;
  /** RFC 6570. */
  uriTemplate: string;
  /** The content of a URI, by the variables in it, still encoded. Throws `MadroxError`. */
  read(variables: Record<string, string>, context: CallContext): Promise<Content>;
}

const TEMPLATES: readonly ResourceTemplate[] = [
  {
    name: "workspace_file",
    title: "File of an instance",
    description:
      "A file of an instance's workspace, as text where it is UTF-8, else as bytes; a folder gives the list of what is in it. Works for terminated instances too.",
    uriTemplate: "workspace://{instance_id}/{+path}",
    read: ({ instance_id: id = "", path = "" }, context) => readPath(context, id, decoded(path)),
  },
  {
    name: "workspace",
    title: "Files of an instance",
    description: "The list of all files of an instance's workspace, with the URI of each.",
    uriTemplate: "workspace://{instance_id}/",
    read: ({ instance_id: id = "" }, context) => readFolder(context, id, ""),
  },
  {
    name: "transcript",
    title: "Conversation of an instance",
    description: "What an instance received and said, as text to read; the newest when it is long.",
    uriTemplate: "instance://{instance_id}/transcript",
    read: ({ instance_id: id = "" }, context) => readTranscript(context, id),
  },
  {
    name: "instance",
    title: "Instance",
    description: "The status of an instance: state, limits, tokens, cost, health, open questions.",
    uriTemplate: "instance://{instance_id}",
    read: async ({ instance_id: id = "" }, context) =>
      asJson((await runTool(context, "get_instance_status", { instance_id: instanceIdIn(id) })).status),
  },
  {
    name: "tree",
    title: "Instances below an instance",
    description: "Who belongs to whom below an instance, with state and cost; tree://all has all instances.",
    uriTemplate: "tree://{root_id}",
    read: async ({ root_id: id = "" }, context) => ({
      mimeType: "text/plain",
      text: String(
        (await runTool(context, "get_instance_tree", id === "all" ? {} : { root_id: instanceIdIn(id) })).text,
      ),
    }),
  },
];

/** The resource that is always there. */
const TREE = {
  uri: "tree://all",
  name: "all instances",
  description: "Who belongs to whom, with state and cost",
  mimeType: "text/plain",
};

/** What there is to read: what is listed by name, and what can be read by its URI. */
export interface Resources {
  list(context: CallContext): Promise<Resource[]>;
  /** The first that a URI fits is the one that reads it. */
  templates: readonly ResourceTemplate[];
}

export const RESOURCES: Resources = {
  templates: TEMPLATES,
  async list(context) {
    const page = await context.orchestrator.list({ newest: true, limit: MAX_LISTED });
    return [
      TREE,
      ...page.instances.flatMap(({ instance_id: id, name, role }) => [
        {
          uri: `workspace://${id}/`,
          name: `files of ${name}`,
          description: `Files of ${name} (${role}), ${id}`,
          mimeType: "application/json",
        },
        {
          uri: `instance://${id}/transcript`,
          name: `conversation of ${name}`,
          description: `What ${name} (${role}) received and said, ${id}`,
          mimeType: "text/plain",
        },
      ]),
    ];
  },
};

/** Answers `resources/list`, `resources/templates/list` and `resources/read`. */
export function serveResources(
  server: Server,
  { contextFor, env, apps }: Pick<McpRequestContext, "contextFor" | "env" | "apps">,
  { list, templates }: Resources,
): void {
  const matchers = templates.map((template) => ({ template, uri: new UriTemplate(template.uriTemplate) }));
  server.setRequestHandler("resources/list", async (_request, call) => ({
    resources: [...(apps ? [APP_RESOURCE] : []), ...(await list(contextFor(call.mcpReq.signal)))],
  }));
  server.setRequestHandler("resources/templates/list", () => ({
    resourceTemplates: templates.map(({ read: _read, ...shown }) => shown),
  }));
  server.setRequestHandler("resources/read", async ({ params: { uri } }, call) => {
    if (uri === APP_URI) return { contents: [{ uri, ...(await readApp(env)) }] };
    for (const { template, uri: matcher } of matchers) {
      const variables = matcher.match(uri);
      if (!variables) continue;
      try {
        const content = await template.read(variables as Record<string, string>, contextFor(call.mcpReq.signal));
        return { contents: [{ uri, ...content }] };
      } catch (error) {
        throw protocolError(uri, error);
      }
    }
    throw new ResourceNotFoundError(
      uri,
      `There is no resource ${shown(uri)}. resources/templates/list has what there is.`,
    );
  });
}

async function readPath(context: CallContext, id: string, path: string): Promise<Content> {
  const files = workspaceOf(context.instance(instanceIdIn(id)));
  const found = await files.stat(path);
  if (found.type === "folder") return readFolder(context, id, path);
  if (found.size > MAX_RESOURCE_BYTES) {
    throw new MadroxError(
      "too_large",
      `${found.path} has ${found.size} bytes, and a resource is read up to ${MAX_RESOURCE_BYTES}. Read it in pieces with the tool retrieve_instance_file.`,
      { size: found.size, limit_bytes: MAX_RESOURCE_BYTES, tool: "retrieve_instance_file", instance_id: id, path },
    );
  }
  const piece = await files.read(path, { offset: 0, length: MAX_PIECE_BYTES });
  const { content, encoding } = contentOfBytes(piece.bytes, undefined, true);
  return { mimeType: piece.media_type, ...(encoding === "utf-8" ? { text: content } : { blob: content }) };
}

async function readFolder(context: CallContext, id: string, folder: string): Promise<Content> {
  const files = workspaceOf(context.instance(instanceIdIn(id)));
  const query = { folder, recursive: true, pattern: null, limit: MAX_ENTRIES, cursor: null };
  const { entries, next } = await files.list(query);
  const listing = {
    files: entries.filter((entry) => entry.type === "file").map((entry) => ({ uri: uriOf(id, entry), ...entry })),
    ...(next === null ? {} : { message: "There are more: list_instance_files has them all.", next_cursor: next }),
  };
  return { mimeType: "application/json", text: JSON.stringify(listing) };
}

async function readTranscript(context: CallContext, id: string): Promise<Content> {
  const rows: OutputRow[] = [];
  let cursor: string | null = null;
  do {
    const query = { instance_id: instanceIdIn(id), limit: 1000, ...(cursor === null ? {} : { cursor }) };
    const page = (await runTool(context, "get_instance_output", query)) as unknown as {
      output: OutputRow[];
      next_cursor: string | null;
    };
    rows.push(...page.output);
    cursor = page.next_cursor;
    // What would be cut off is not kept.
    for (let chars = charsOf(rows); rows.length > 1 && chars > 2 * MAX_TRANSCRIPT_CHARS; ) {
      chars -= rows.shift()?.content.length ?? 0;
    }
  } while (cursor !== null);
  const text = rows.map(({ type, timestamp, content }) => `[${type}, ${timestamp}]\n${content}`).join("\n\n");
  const cut = text.length > MAX_TRANSCRIPT_CHARS || (rows[0]?.message_index ?? 0) > 0;
  const said = cut
    ? `[older rows are left out: get_instance_output has all]\n\n${text.slice(-MAX_TRANSCRIPT_CHARS).toWellFormed()}`
    : text;
  return { mimeType: "text/plain", text: said };
}

interface OutputRow {
  message_index: number;
  type: string;
  timestamp: string;
  content: string;
}

const charsOf = (rows: readonly OutputRow[]) => rows.reduce((sum, { content }) => sum + content.length, 0);

/** A tool's answer. Throws its failure. */
async function runTool(context: CallContext, tool: string, input: Record<string, unknown>): Promise<ToolAnswer> {
  const answer = await dispatch(context, tool, input);
  if (answer.success) return answer as ToolAnswer;
  const { error, message, details } = answer as ErrorBody;
  throw new MadroxError(error, message, details);
}

const asJson = (value: unknown): Content => ({ mimeType: "application/json", text: JSON.stringify(value) });

function uriOf(id: string, { path }: FileInfo): string {
  return `workspace://${id}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

function instanceIdIn(id: string): string {
  if (isInstanceId(id)) return id;
  throw new MadroxError("not_found", `${shown(id)} is no instance id: they look like inst_01K...`);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new MadroxError("invalid_input", "The URI is not percent-encoded UTF-8.", { field: "uri" });
  }
}

/** MCP has one code for what is not there, with nothing but the URI beside it; whatever else the caller did wrong says why. */
function protocolError(uri: string, error: unknown): ProtocolError {
  const { code, message, details } = failureOf(error);
  if (code === "not_found") return new ResourceNotFoundError(uri, message);
  return new ProtocolError(SERVER_FAULTS.has(code) ? INTERNAL_ERROR : INVALID_PARAMS, message, {
    error: code,
    ...details,
  });
}

/** Failures that no other request would have avoided. */
const SERVER_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["internal", "upstream_error", "misconfigured"]);

const shown = (text: string) => JSON.stringify(text.slice(0, 200).toWellFormed());
