import { own } from "../platform/own.ts";

/** Media types by the end of a name; whatever is not here is bytes. */
const BY_ENDING: Readonly<Record<string, string>> = {
  css: "text/css",
  csv: "text/csv",
  gif: "image/gif",
  gz: "application/gzip",
  htm: "text/html",
  html: "text/html",
  ico: "image/vnd.microsoft.icon",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  js: "text/javascript",
  json: "application/json",
  jsonl: "application/jsonl",
  md: "text/markdown",
  mjs: "text/javascript",
  mp3: "audio/mpeg",
  mp4: "video/mp4",
  pdf: "application/pdf",
  png: "image/png",
  svg: "image/svg+xml",
  tar: "application/x-tar",
  toml: "application/toml",
  ts: "text/x-typescript",
  tsv: "text/tab-separated-values",
  txt: "text/plain",
  wasm: "application/wasm",
  webp: "image/webp",
  xml: "application/xml",
  yaml: "application/yaml",
  yml: "application/yaml",
  zip: "application/zip",
};

const PLAIN = new Set(
  "c cc cfg conf cpp cs diff env go h hpp ini java jsx kt log lua patch php pl py r rb rs sass scala scss sh sql swift tsx vue".split(
    " ",
  ),
);

/** The media type that a name stands for; `application/octet-stream` when it says nothing. */
export function mediaTypeOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const ending = name.includes(".") ? name.slice(name.lastIndexOf(".") + 1).toLowerCase() : "";
  return own(BY_ENDING, ending) ?? (PLAIN.has(ending) ? "text/plain" : "application/octet-stream");
}
