/**
 * Files over REST: as they are, with their media type. They are written by models and anyone they listen to, so a browser
 * must never run one as a page of this server: each is a download, in a sandbox without an origin.
 */
import * as z from "zod";
import type { FileInfo, WorkspaceApi, Written } from "../../contracts/workspace.ts";
import { workspaceOf } from "../../contracts/workspace-rpc.ts";
import { errorBody, MadroxError } from "../../platform/errors.ts";
import { isInstanceId } from "../../platform/ids.ts";
import { listInstanceFiles } from "../../tools/list-instance-files.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import type { CallContext } from "../context.ts";
import { json } from "../json.ts";
import type { JsonSchema } from "../json-schema.ts";
import { query } from "../query.ts";
import { unreadBody } from "../request-body.ts";
import { defineRoute, type Route } from "../route.ts";
import { toolRoute } from "../tool-route.ts";

/** How often a part is looked for again in a file that changes between two looks. */
const MAX_TRIES = 5;

const text: JsonSchema = { type: "string" };
const bytes: JsonSchema = { type: "string", format: "binary" };

const listFiles = toolRoute({
  method: "GET",
  path: "/instances/:id/files",
  tool: listInstanceFiles,
  params: { id: "instance_id" },
  operation: { id: "listFiles", tag: "files", summary: "The files of an instance" },
});

const readFile = defineRoute({
  method: "GET",
  path: "/instances/:id/files/*",
  access: "read",
  operation: {
    id: "readFile",
    tag: "files",
    summary: "A file as it is",
    headers: { Range: text, "If-Range": text, "If-None-Match": text },
    success: { statuses: [200, 206, 304], type: "*/*", schema: () => bytes },
    errors: ["conflict", "range_not_satisfiable"],
  },
  async handle({ context, request, url, params: { id } }) {
    const files = filesOf(context, id);
    const path = pathOf(url);
    for (let tries = 1; ; tries++) {
      const known = await files.stat(path);
      const headers = fileHeaders(path, known);
      if (known.type === "file" && names(request.headers.get("if-none-match"), headers.etag)) {
        return new Response(null, { status: 304, headers });
      }
      const range = wantsPart(request, headers.etag) ? rangeOf(request.headers.get("range"), known.size) : null;
      if (range === "outside") return notSatisfiable(known.size);
      if (request.method === "HEAD" && known.type === "file") return fileResponse(path, known, range, null);
      const { body, ...file } = await files.open(path, range);
      // A part was chosen by what the file was a moment ago; the whole file is whatever it is now.
      if (range === null || file.version === known.version) return fileResponse(path, file, range, body);
      await body.cancel();
      if (tries === MAX_TRIES) throw changed(path);
    }
  },
});

const putFile = defineRoute({
  method: "PUT",
  path: "/instances/:id/files/*",
  access: "operate",
  body: unreadBody("application/octet-stream", bytes, ["too_large"]),
  operation: {
    id: "putFile",
    tag: "files",
    summary: "Create or replace a file",
    headers: { "If-Match": text, "If-None-Match": text },
    success: { statuses: [200, 201] },
    errors: ["conflict", "limit_reached"],
  },
  async handle({ context, request, url, params: { id } }) {
    const files = filesOf(context, id);
    const expected = expectedOf(request);
    const { body } = request;
    const path = pathOf(url);
    const file: Written = await recorded(context, "write_instance_file", id, (audit) => {
      const options = { audit, ...(expected === undefined ? {} : { expected }) };
      return body
        ? files.upload(path, body as ReadableStream<Uint8Array>, options)
        : files.write(path, new Uint8Array(), options);
    });
    return Response.json(
      { success: true, message: `${file.created ? "Created" : "Replaced"} ${file.path}.`, ...file },
      { status: file.created ? 201 : 200, headers: { etag: etagOf(file.version) } },
    );
  },
});

const deleteFile = defineRoute({
  method: "DELETE",
  path: "/instances/:id/files/*",
  access: "operate",
  query: query({ recursive: z.boolean().default(false).describe("Whether a folder goes with everything in it") }),
  operation: {
    id: "deleteFile",
    tag: "files",
    summary: "Delete a file or a folder",
    headers: { "If-Match": text },
    errors: ["conflict"],
  },
  async handle({ context, request, url, params: { id }, query: { recursive } }) {
    const files = filesOf(context, id);
    const expected = expectedOf(request);
    const path = pathOf(url);
    const deleted = await recorded(context, "delete_instance_file", id, (audit) =>
      files.delete(path, { recursive, audit, ...(expected === undefined ? {} : { expected }) }),
    );
    return json({ success: true, message: `Deleted ${path}.`, path, ...deleted });
  },
});

const downloadWorkspace = defineRoute({
  method: "GET",
  path: "/instances/:id/workspace.zip",
  access: "read",
  operation: {
    id: "downloadWorkspace",
    tag: "files",
    summary: "All files of an instance, as a zip archive",
    success: { type: "application/zip", schema: () => bytes },
  },
  async handle({ context, request, params: { id } }) {
    const files = filesOf(context, id);
    const archive = { media_type: "application/zip", version: "" };
    const { etag: _etag, "accept-ranges": _ranges, ...headers } = fileHeaders(`${id}.zip`, archive);
    if (request.method === "HEAD") {
      await files.stat("");
      return new Response(null, { headers });
    }
    return new Response((await files.zip()).body, { headers });
  },
});

export const FILE_ROUTES: readonly Route[] = [listFiles, readFile, putFile, deleteFile, downloadWorkspace];

function filesOf(call: CallContext, id: string): WorkspaceApi {
  if (isInstanceId(id)) return workspaceOf(call.instance(id));
  throw new MadroxError("invalid_input", "That is no instance id: they look like inst_01K...", {
    field: "instance_id",
  });
}

/** The part of the path after /files/, decoded once. */
function pathOf({ pathname }: URL): string {
  const encoded = pathname.slice(pathname.indexOf("/files/") + "/files/".length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new MadroxError("invalid_input", "The path is not percent-encoded UTF-8.", { field: "path" });
  }
}

const etagOf = (version: string) => `"${version}"`;

/** If-Match names the version to change, If-None-Match: * says that there must be none. */
function expectedOf(request: Request): string | undefined {
  const match = request.headers.get("if-match");
  if (request.headers.get("if-none-match")?.trim() === "*") return "new";
  if (match === null || match.trim() === "*") return undefined;
  return match.trim().replace(/^"(.*)"$/, "$1");
}

interface Range {
  offset: number;
  length: number;
}

/** Whether an If-None-Match names this version (RFC 9110, 13.1.2: weakly compared). */
function names(header: string | null, etag: string): boolean {
  const tags = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}

/** With If-Range a part is wanted only of this very version, else the whole file. Dates are not kept, so none is this one. */
function wantsPart(request: Request, etag: string): boolean {
  const condition = request.headers.get("if-range");
  return condition === null || condition.trim() === etag;
}

/** One range of bytes; null for none, and for what is not understood or no range, which is ignored (RFC 9110, 14.2). */
function rangeOf(header: string | null, size: number): Range | "outside" | null {
  const [, from = "", to = ""] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? "") ?? [];
  if (from === "" && to === "") return null;
  if (from !== "" && to !== "" && Number(to) < Number(from)) return null;
  const offset = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? size : Math.min(size, Number(to) + 1);
  return offset < end ? { offset, length: end - offset } : "outside";
}

function notSatisfiable(size: number): Response {
  const message = `The range is outside the file, which has ${size} bytes.`;
  const error = errorBody({ code: "range_not_satisfiable", message, details: { size } });
  return Response.json(error, { status: 416, headers: { "content-range": `bytes */${size}` } });
}

function fileResponse(
  path: string,
  file: FileInfo,
  range: Range | null,
  body: ReadableStream<Uint8Array> | null,
): Response {
  const length = range?.length ?? file.size;
  return new Response(body?.pipeThrough(new FixedLengthStream(length)) ?? null, {
    status: range ? 206 : 200,
    headers: {
      ...fileHeaders(path, file),
      "content-length": String(length),
      ...(range ? { "content-range": `bytes ${range.offset}-${range.offset + length - 1}/${file.size}` } : {}),
    },
  });
}

function changed(path: string): MadroxError {
  return new MadroxError("conflict", `${path} was changed while it was read. Ask again.`, { path });
}

function fileHeaders(path: string, { media_type: mediaType, version }: Pick<FileInfo, "media_type" | "version">) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const plain = name.replace(/[^A-Za-z0-9._-]/g, "_");
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return {
    "content-type": mediaType.startsWith("text/") ? `${mediaType}; charset=utf-8` : mediaType,
    "content-disposition": `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`,
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
    etag: etagOf(version),
  };
}
