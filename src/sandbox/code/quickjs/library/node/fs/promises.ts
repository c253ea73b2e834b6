/** `node:fs/promises`, over the files of the workspace. */
import { bytesOf, textOf, utf8 } from "../../bytes.ts";
import { call } from "../../calls.ts";

type Encoding = string | { encoding?: string | null } | null;

interface Entry {
  name: string;
  folder: boolean;
}

interface Found {
  folder: boolean;
  size: number;
  /** ms since the epoch. */
  modified: number;
}

/** Whether the content is wanted as text. */
function asText(options: Encoding | undefined): boolean {
  const encoding = (typeof options === "string" ? options : options?.encoding) ?? null;
  if (encoding === "utf8" || encoding === "utf-8") return true;
  if (encoding === null) return false;
  throw new TypeError(`The encoding ${encoding} is not there: utf8, or none for bytes`);
}

function content(data: unknown): string {
  if (typeof data === "string") return textOf(utf8(data));
  if (ArrayBuffer.isView(data)) return textOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  throw new TypeError("The data must be a string or bytes");
}

const kindOf = (folder: boolean) => ({
  isFile: () => !folder,
  isDirectory: () => folder,
  isSymbolicLink: () => false,
});

export async function readFile(path: unknown, options?: Encoding): Promise<string | Uint8Array> {
  const text = asText(options);
  const read = (await call("read", String(path), text)) as string;
  return text ? read : bytesOf(read);
}

export async function writeFile(path: unknown, data: unknown): Promise<void> {
  await call("write", String(path), content(data));
}

export async function appendFile(path: unknown, data: unknown): Promise<void> {
  await call("append", String(path), content(data));
}

export async function readdir(path: unknown, options?: { withFileTypes?: boolean }) {
  const entries = (await call("list", String(path))) as Entry[];
  if (!options?.withFileTypes) return entries.map((entry) => entry.name);
  return entries.map(({ name, folder }) => ({ name, ...kindOf(folder) }));
}

export async function stat(path: unknown) {
  const { size, modified, folder } = (await call("stat", String(path))) as Found;
  return { size, mtime: new Date(modified), mtimeMs: modified, ...kindOf(folder) };
}

/** There are no links, so these are the same. */
export const lstat = stat;

export async function access(path: unknown): Promise<void> {
  await call("stat", String(path));
}

export async function mkdir(path: unknown, options?: { recursive?: boolean }): Promise<void> {
  await call("makeFolder", String(path), options?.recursive ?? false);
}

export async function rm(path: unknown, options?: { recursive?: boolean; force?: boolean }): Promise<void> {
  const { recursive = false, force = false } = options ?? {};
  await call("remove", String(path), { recursive, force });
}

export async function unlink(path: unknown): Promise<void> {
  await rm(path);
}

export async function rename(from: unknown, to: unknown): Promise<void> {
  await call("move", String(from), String(to));
}

export async function copyFile(from: unknown, to: unknown): Promise<void> {
  await writeFile(to, await readFile(from));
}

export default {
  readFile,
  writeFile,
  appendFile,
  readdir,
  stat,
  lstat,
  access,
  mkdir,
  rm,
  unlink,
  rename,
  copyFile,
};
