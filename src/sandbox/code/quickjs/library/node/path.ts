/** `node:path`, the POSIX one. */
import { process } from "../process.ts";

export const sep = "/";
export const delimiter = ":";

export function normalize(path: string): string {
  const absolute = path.startsWith("/");
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (part !== ".." || !absolute) out.push(part);
  }
  const joined = out.join("/");
  const end = path.endsWith("/") ? "/" : "";
  if (absolute) return joined === "" ? "/" : `/${joined}${end}`;
  return (joined || ".") + end;
}

export function join(...parts: string[]): string {
  return normalize(parts.filter((part) => part !== "").join("/"));
}

export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

export function resolve(...parts: string[]): string {
  let path = "";
  for (const part of [process.cwd(), ...parts]) {
    if (part !== "") path = part.startsWith("/") ? part : `${path}/${part}`;
  }
  return withoutSlash(normalize(path));
}

export function dirname(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  const at = trimmed.lastIndexOf("/");
  if (at <= 0) return path.startsWith("/") ? "/" : ".";
  return at === 1 && path.startsWith("/") ? "//" : trimmed.slice(0, at);
}

export function basename(path: string, suffix = ""): string {
  const trimmed = path.replace(/\/+$/, "");
  const name = trimmed.slice(trimmed.lastIndexOf("/") + 1);
  return suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

export function extname(path: string): string {
  const name = basename(path);
  const at = name.lastIndexOf(".");
  return at > 0 && name !== ".." ? name.slice(at) : "";
}

export function relative(from: string, to: string): string {
  const start = resolve(from).split("/").filter(Boolean);
  const end = resolve(to).split("/").filter(Boolean);
  let same = 0;
  while (same < start.length && start[same] === end[same]) same++;
  return [...start.slice(same).map(() => ".."), ...end.slice(same)].join("/");
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

interface Path {
  sep: string;
  delimiter: string;
  normalize: typeof normalize;
  join: typeof join;
  isAbsolute: typeof isAbsolute;
  resolve: typeof resolve;
  dirname: typeof dirname;
  basename: typeof basename;
  extname: typeof extname;
  relative: typeof relative;
  posix?: Path;
}

const path: Path = { sep, delimiter, normalize, join, isAbsolute, resolve, dirname, basename, extname, relative };
path.posix = path;
export const posix = path;
export default path;
