/**
 * The modules of a program: its entry and everything that it imports from the workspace, read before it runs. A specifier is
 * taken as Node takes it: relative, with its extension; or one of the built-in modules that there are.
 */
import { absolutePath, inWorkspace } from "../paths.ts";
import type { PosixFiles } from "../posix-files.ts";
import { isBuiltin } from "./quickjs/library.ts";

/** Of one program. */
const MAX_MODULES = 200;
const MAX_SOURCE_BYTES = 4 * 1024 * 1024;

export interface Modules {
  entry: string;
  /** By absolute path: JavaScript, types taken out. */
  sources: ReadonlyMap<string, string>;
}

export type Source = { path: string } | { code: string; typescript: boolean };

/** What a specifier in a module means: an absolute path, or a built-in module's name. Throws for anything else. */
export function resolveSpecifier(specifier: string, importer: string): string {
  if (isBuiltin(specifier)) return specifier.replace(/^(?!node:)/, "node:");
  if (/^\.{0,2}\//.test(specifier)) return absolutePath(importer.slice(0, importer.lastIndexOf("/")), specifier);
  throw new Error(
    `Cannot find package '${specifier}' imported from ${importer}: there are no packages here, only files (./name.js) and a few modules of Node (node:assert, node:test, node:path, node:fs/promises)`,
  );
}

/** Reads the program. Throws with the compiler's or the file system's words; a missing import shows when it is linked. */
export async function collect(files: PosixFiles, { source, cwd }: { source: Source; cwd: string }): Promise<Modules> {
  const { parse } = await import("es-module-lexer/js");
  const sources = new Map<string, string>();
  let bytes = 0;
  const add = async (path: string, text: string, typescript: boolean): Promise<string[]> => {
    bytes += text.length;
    if (bytes > MAX_SOURCE_BYTES) throw new Error(`The program's source has more than ${MAX_SOURCE_BYTES} bytes.`);
    const code = typescript ? await withoutTypes(text, path) : text;
    sources.set(path, code);
    const found = imported(parse, code, path);
    return found.flatMap((specifier) => {
      try {
        const resolved = resolveSpecifier(specifier, path);
        return resolved.startsWith("node:") ? [] : [resolved];
      } catch {
        return [];
      }
    });
  };

  const read = async (path: string) => {
    const inside = inWorkspace(path);
    if (inside === null) throw new Error(`Only the workspace can be reached, and ${path} is not in it.`);
    return new TextDecoder().decode(await files.read(inside));
  };

  const entry = "path" in source ? absolutePath(cwd, source.path) : `${cwd}/[code]`;
  const queue =
    "path" in source
      ? await add(entry, await read(entry), isTypeScript(entry))
      : await add(entry, source.code, source.typescript);
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    if (sources.has(path)) continue;
    if (sources.size >= MAX_MODULES) throw new Error(`The program has more than ${MAX_MODULES} modules.`);
    const inside = inWorkspace(path);
    if (inside === null || (await files.find(inside))?.folder !== false) continue;
    queue.push(...(await add(path, await read(path), isTypeScript(path))));
  }
  return { entry, sources };
}

function isTypeScript(path: string): boolean {
  return /\.m?ts$/.test(path);
}

async function withoutTypes(code: string, path: string): Promise<string> {
  const { transform } = await import("sucrase");
  return transform(code, {
    filePath: path,
    transforms: ["typescript"],
    disableESTransforms: true,
    preserveDynamicImport: true,
  }).code;
}

/** The specifiers that stand in the code. Code that can't be read has none here, and fails with better words when it runs. */
function imported(parse: typeof import("es-module-lexer/js").parse, code: string, path: string): string[] {
  try {
    const [imports] = parse(code, path);
    return imports.flatMap((found) =>
      "specifier" in found && typeof found.specifier === "string" ? [found.specifier] : [],
    );
  } catch {
    return [];
  }
}
