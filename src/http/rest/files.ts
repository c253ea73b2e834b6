/**
 * Files over REST: as they are, with their media type. They are written by models and anyone they listen to, so a browser
 * must never run one as a page of this server: each is a download, in a sandbox without an origin.
 */
import { Hono } from "hono";
import type { FileInfo, WorkspaceApi, Written } from "../../contracts/workspace.ts";
import { workspaceOf } from "../../contracts/workspace-rpc.ts";
import { errorBody, MadroxError } from "../../platform/errors.ts";
import { isInstanceId } from "../../platform/ids.ts";
import { recorded } from "../../tools/runtime/audit.ts";
import type { CallContext } from "../context.ts";
import type { RestEnv } from "../hono-env.ts";

/** How often a part is looked for again in a file that changes between two looks. */
const MAX_TRIES = 5;

export function createFiles(): Hono<RestEnv> {
  const app = new Hono<RestEnv>();

  app.get("/instances/:id/files/*", async (c) => {
    const files = filesOf(c.get("call"), c.req.param("id"));
    const path = pathOf(c.req.raw);
    for (let tries = 1; ; tries++) {
      const known = await files.stat(path);
      const headers = fileHeaders(path, known);
      if (known.type === "file" && names(c.req.header("if-none-match"), headers.etag)) {
        return new Response(null, { status: 304, headers });
      }
      const range = wantsPart(c.req.raw, headers.etag) ? rangeOf(c.req.header("range"), known.size) : null;
      if (range === "outside") return notSatisfiable(known.size);
      if (c.req.method === "HEAD" && known.type === "file") return fileResponse(path, known, range, null);
      const { body, ...file } = await files.open(path, range);
      // A part was chosen by what the file was a moment ago; the whole file is whatever it is now.
      if (range === null || file.version === known.version) return fileResponse(path, file, range, body);
      await body.cancel();
      if (tries === MAX_TRIES) throw changed(path);
    }
  });

  app.put("/instances/:id/files/*", async (c) => {
    const files = filesOf(c.get("call"), c.req.param("id"));
    const expected = expectedOf(c.req.raw);
    const { body } = c.req.raw;
    const path = pathOf(c.req.raw);
    const file: Written = await recorded(c.get("call"), "write_instance_file", c.req.param("id"), (audit) => {
      const options = { audit, ...(expected === undefined ? {} : { expected }) };
      return body
        ? files.upload(path, body as ReadableStream<Uint8Array>, options)
        : files.write(path, new Uint8Array(), options);
    });
    return Response.json(
      { success: true, message: `${file.created ? "Created" : "Replaced"} ${file.path}.`, ...file },
      { status: file.created ? 201 : 200, headers: { etag: etagOf(file.version) } },
    );
  });

  app.delete("/instances/:id/files/*", async (c) => {
    const files = filesOf(c.get("call"), c.req.param("id"));
    const expected = expectedOf(c.req.raw);
    const path = pathOf(c.req.raw);
    const recursive = c.req.query("recursive") === "true";
    const deleted = await recorded(c.get("call"), "delete_instance_file", c.req.param("id"), (audit) =>
      files.delete(path, { recursive, audit, ...(expected === undefined ? {} : { expected }) }),
    );
    return c.json({ success: true, message: `Deleted ${path}.`, path, ...deleted });
  });

  app.get("/instances/:id/workspace.zip", async (c) => {
    const id = c.req.param("id");
    const files = filesOf(c.get("call"), id);
    const archive = { media_type: "application/zip", version: "" };
    const { etag: _etag, "accept-ranges": _ranges, ...headers } = fileHeaders(`${id}.zip`, archive);
    if (c.req.method === "HEAD") {
      await files.stat("");
      return new Response(null, { headers });
    }
    return new Response((await files.zip()).body, { headers });
  });

  return app;
}

function filesOf(call: CallContext, id: string): WorkspaceApi {
  if (isInstanceId(id)) return workspaceOf(call.instance(id));
  throw new MadroxError("invalid_input", "That is no instance id: they look like inst_01K...", {
    field: "instance_id",
  });
}

/** What stands after /files/, decoded once. */
function pathOf(request: Request): string {
  const { pathname } = new URL(request.url);
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
function names(header: string | undefined, etag: string): boolean {
  const tags = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}

/** With If-Range a part is wanted only of this very version, else the whole file. Dates are not kept, so none is this one. */
function wantsPart(request: Request, etag: string): boolean {
  const condition = request.headers.get("if-range");
  return condition === null || condition.trim() === etag;
}

/** One range of bytes; null for none, and for what is not understood or no range, which is ignored (RFC 9110, 14.2). */
function rangeOf(header: string | undefined, size: number): Range | "outside" | null {
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
