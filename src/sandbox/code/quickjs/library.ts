/**
 * The modules that are there for every program, as sources for its engine. They are written in library/, and made into
 * library.json by `npm run engine:library`.
 */
import modules from "./library.json" with { type: "json" };

const SOURCES: ReadonlyMap<string, string> = new Map(
  Object.entries(modules).map(([name, lines]) => [name, lines.join("\n")]),
);

/** The module that is evaluated before a program: it sets up the global object. */
export const GLOBALS = "library:globals";
/** The module that is evaluated behind it: it does what is left to do, and ends the program. */
export const END = "library:end";

/** Whether a specifier in a program names a module that there is. Those of `node:test` need their prefix, as in Node. */
export function isBuiltin(specifier: string): boolean {
  if (specifier.startsWith("node:")) return SOURCES.has(specifier);
  return specifier !== "test" && SOURCES.has(`node:${specifier}`);
}

/** The source of a module, by its name: `node:path`, or `library:inspect` for one that only these modules import. */
export function librarySource(name: string): string | undefined {
  return SOURCES.get(name);
}

/** Whether this is the name of one of these modules, whose imports are names already. */
export function isLibraryModule(name: string): boolean {
  return SOURCES.has(name);
}
