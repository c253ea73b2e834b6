/**
 * Dependencies as the tests load them. Every test file starts a workerd of its own, and Vitest hands it all modules that it
 * needs in one WebSocket message, which workerd refuses above 32 MiB. Each dependency is therefore bundled once
 * into a few modules and goes without its source maps, which would be most of what is sent.
 */
import { globSync, readFileSync } from "node:fs";
import type { Plugin } from "vite";

const IMPORT = /^(?:import|export) (?!type\b)[^"']*?from "([^"]+)";$|^import "([^"]+)";$|\bimport\("([^"]+)"\)/gm;

/** What the sources and tests that run in workerd import of the packages in `package.json`: `hono`, `hono/cors`, ... */
export function importedDependencies(root: string): string[] {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  const installed = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => name !== "vitest");
  const files = globSync("{src/**/*.ts,test/**/*.test.ts,test/{support,entry}/*.ts}", {
    cwd: root,
    exclude: ["src/web/**", "test/e2e/**"],
  });
  const imported = files
    .flatMap((file) => [...readFileSync(`${root}/${file}`, "utf8").matchAll(IMPORT)])
    .map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "")
    .filter((specifier) => installed.some((name) => specifier === name || specifier.startsWith(`${name}/`)));
  return [...new Set(imported)].sort();
}

/**
 * Keeps the source maps of dependencies out of what tests load, and of the shell, which is made of one: it makes errors at each of
 * its commands, whose stacks would each take 10 ms to map. Those of the project's own files stay.
 */
export function withoutDependencyMaps(): Plugin {
  return {
    name: "without-dependency-maps",
    transform: {
      order: "post",
      filter: { id: /\/node_modules\/|\/just-bash\.js$/ },
      // Vite keeps the map of a file whose text is unchanged.
      handler: (code) => ({ code: `${code}\n`, map: { mappings: "" } }),
    },
  };
}
