/**
 * `npm run engine:library`: writes src/sandbox/code/quickjs/library.json out of the modules in src/sandbox/code/quickjs/library/:
 * what a program finds beside the language, as sources for the engine in the sandbox. Those modules are TypeScript that is
 * checked and linted like the rest; the Worker needs them as text, and no rule for text modules holds in Wrangler, in Vite
 * and in Node alike. `--check` writes nothing and ends with 1 when the file is not what the modules say.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path/posix";
import { parse } from "es-module-lexer/js";
import { transform } from "sucrase";

const FOLDER = "src/sandbox/code/quickjs/library";
const FILE = `${FOLDER}.json`;

/** `node/fs/promises.ts` is `node:fs/promises`, which programs import; `inspect.ts` is `library:inspect`, which they can't. */
function nameOf(file: string): string {
  const path = file.replace(/\.ts$/, "");
  return path.startsWith("node/") ? path.replace("/", ":") : `library:${path}`;
}

/** The module as JavaScript, its relative imports as names of modules. */
function sourceOf(file: string): string {
  const { code } = transform(readFileSync(`${FOLDER}/${file}`, "utf8"), {
    filePath: file,
    transforms: ["typescript"],
    disableESTransforms: true,
  });
  let named = code;
  // From the end, so that what is before keeps its place.
  for (const found of parse(code)[0].toReversed()) {
    if (found.type !== "static" || !found.specifier.startsWith(".")) continue;
    named = named.slice(0, found.start) + nameOf(join(file, "..", found.specifier)) + named.slice(found.end);
  }
  // Without comments, and without the blank lines where types were.
  return named
    .replace(/^\s*(?:\/\/|\/\*|\*[ /]).*\n/gm, "")
    .replace(/\n{2,}/g, "\n")
    .trim();
}

const files = (readdirSync(FOLDER, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts")).sort();
// By lines, so that a change of a module is a change of a few lines here.
const library = Object.fromEntries(files.map((file) => [nameOf(file), sourceOf(file).split("\n")]));
const made = `${JSON.stringify(library, null, 2)}\n`;
if (!process.argv.includes("--check")) writeFileSync(FILE, made);
else if (readFileSync(FILE, "utf8") !== made) {
  console.error(`${FILE} is not what the modules in ${FOLDER} say. Run npm run engine:library.`);
  process.exit(1);
}
