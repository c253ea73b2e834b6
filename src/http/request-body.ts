/**
 * Request bodies, declared once per route: how a body is read and checked, and what the OpenAPI document says of it.
 */
import type * as z from "zod";
import { readJson, tooManyBytes } from "../platform/bounded-json.ts";
import { type ErrorCode, MadroxError } from "../platform/errors.ts";
import { invalidInput } from "../platform/invalid-input.ts";
import { jsonSchemaOf } from "../tools/runtime/tool.ts";
import type { JsonSchema } from "./json-schema.ts";
import { isPercentEncodedUtf8, isUtf8 } from "./utf8.ts";

export interface RequestBody<Value> {
  /** Media type. */
  type: string;
  required(): boolean;
  schema(): JsonSchema;
  /** What `read` may fail with, beside `invalid_input`. */
  errors: readonly ErrorCode[];
  /** `route` names the route in what is thrown. */
  read(request: Request, route: string): Promise<Value>;
}

/** Bytes of a JSON body. A message of 1 MiB may need six times that in JSON escapes; what is larger than this is refused unread. */
export const MAX_JSON_BYTES = 8 * 1024 * 1024;

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
const JSON_ERRORS = ["too_large", "unsupported_media_type"] as const;

/** A JSON object that has to fit a schema. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema): RequestBody<z.output<Schema>> {
  return {
    type: JSON_TYPE,
    required: () => true,
    schema: () => jsonSchemaOf(schema),
    errors: JSON_ERRORS,
    async read(request, route) {
      const result = schema.safeParse(await readJsonObject(request));
      if (result.success) return result.data;
      throw invalidInput(result.error, {
        refusal: `${route} can't take this body.`,
        whole: "body",
        unknown: "is no field of it",
      });
    },
  };
}

/** A JSON object that somebody else checks: a tool its input. Where it is not required, no body is an empty object. */
export function jsonObject(
  schema: () => JsonSchema,
  required: () => boolean = () => true,
): RequestBody<Record<string, unknown>> {
  return {
    type: JSON_TYPE,
    required,
    schema,
    errors: JSON_ERRORS,
    read: async (request) => (!required() && isEmpty(request) ? {} : readJsonObject(request)),
  };
}

/** A text in UTF-8 that the handler reads itself, from a request that has at most so many bytes. */
export function boundedBody(type: string, maxBytes: number): RequestBody<Request> {
  return {
    type,
    required: () => true,
    schema: () => ({ type: "object" }),
    errors: JSON_ERRORS,
    async read(request) {
      assertUtf8(request);
      const body = await readBytes(request, maxBytes);
      // Of a form, the bytes are what the percent signs stand for.
      const isForm = mediaTypeOf(request) === FORM_TYPE;
      if (isUtf8(body) && (!isForm || isPercentEncodedUtf8(new TextDecoder().decode(body)))) {
        return new Request(request, { body });
      }
      throw new MadroxError("invalid_input", "The body is no valid UTF-8. Nothing was done.");
    },
  };
}

/** A body that the handler reads itself, however long it is, by limits of its own. */
export function unreadBody(type: string, schema: JsonSchema, errors: readonly ErrorCode[]): RequestBody<null> {
  return { type, required: () => true, schema: () => schema, errors, read: async () => null };
}

/** The request's JSON object. Throws `unsupported_media_type`, `too_large` or `invalid_input`. */
async function readJsonObject(request: Request): Promise<Record<string, unknown>> {
  if (mediaTypeOf(request) !== JSON_TYPE) {
    throw new MadroxError(
      "unsupported_media_type",
      `The body has to be JSON: send it with Content-Type: ${JSON_TYPE}.`,
    );
  }
  assertUtf8(request);
  const body = await readJsonOf(request).catch((error: unknown) => {
    if (error instanceof SyntaxError) throw new MadroxError("invalid_input", "The body is no valid JSON.");
    throw error;
  });
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new MadroxError(
    "invalid_input",
    'The body has to be an object like {"tool": "spawn_claude", "arguments": {"name": "Ada"}}.',
  );
}

/** The JSON in a request's body. Throws as `readJson` does. */
export async function readJsonOf(request: Request): Promise<unknown> {
  assertLength(request, MAX_JSON_BYTES);
  return readJson(chunksOf(request), MAX_JSON_BYTES);
}

/** The media type of a request's body without its parameters, in lower case; undefined where none is named. */
export function mediaTypeOf(request: Request): string | undefined {
  return request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
}

/** Throws `unsupported_media_type` where the body says that it is in another charset than UTF-8. */
export function assertUtf8(request: Request): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers.get("content-type") ?? "")?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return;
  throw new MadroxError(
    "unsupported_media_type",
    `The body has to be in UTF-8, not in ${JSON.stringify(charset.slice(0, 40))}: send it with charset=utf-8, or name none.`,
  );
}

/** The whole body. Throws `too_large` before more than `maxBytes` are kept. */
async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  assertLength(request, maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunksOf(request)) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooManyBytes(maxBytes);
    chunks.push(chunk);
  }
  const [only] = chunks;
  if (only && chunks.length === 1) return only;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Throws `too_large` for a request that says so itself. */
function assertLength(request: Request, maxBytes: number): void {
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooManyBytes(maxBytes);
}

function chunksOf({ body }: Request): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  return (body as AsyncIterable<Uint8Array> | null) ?? [];
}

function isEmpty(request: Request): boolean {
  return request.body === null || request.headers.get("content-length") === "0";
}
