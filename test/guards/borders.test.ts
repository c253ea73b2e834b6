/**
 * The dependency rule of CONTRIBUTING, over every import of src/, those of types and of folders that are new included. The linter
 * says it while one writes; this reads the sources, so that nothing is allowed by having been forgotten.
 */
import { describe, expect, it } from "vitest";

const SOURCES: Record<string, string> = import.meta.glob<string>(["../../src/**/*.ts", "../../src/**/*.tsx"], {
  query: "?raw",
  import: "default",
  eager: true,
});

const BELOW = ["contracts", "platform"];
const LEAVES = ["auth", "anthropic", "roles", "workspace", "sandbox", "remote-mcp"];
const OBJECTS = ["orchestrator", "instance", "jobs"];

/** What each folder of src/ may import, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  ".": ["http", "tools", "config", ...OBJECTS, ...LEAVES, ...BELOW],
  http: ["tools", "config", ...OBJECTS, ...LEAVES, ...BELOW],
  tools: ["config", ...OBJECTS, ...LEAVES, ...BELOW],
  ...Object.fromEntries(OBJECTS.map((folder) => [folder, ["config", ...LEAVES, ...BELOW]])),
  config: ["anthropic", ...BELOW],
  ...Object.fromEntries(LEAVES.map((folder) => [folder, BELOW])),
  contracts: ["platform"],
  platform: [],
  client: [],
  "web/shared": ["client", ...BELOW],
  "web/dashboard": ["web/shared", "client", ...BELOW],
  "web/mcp-app": ["web/shared", "client", ...BELOW],
};

/** The folder of a path below the repository's root; null: it is not in src/. */
function folderOf(path: string): string | null {
  const [root, first = "", second = ""] = path.split("/");
  if (root !== "src") return null;
  if (first === "web") return `web/${second}`;
  return second === "" ? "." : first;
}

function resolved(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** Every relative specifier: of import and export statements, `import()` of values and of types. */
const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.{1,2}\/[^"']+)["']/g;

function problemsOf(path: string, source: string): string[] {
  const folder = folderOf(path) ?? "";
  const allowed = MAY_IMPORT[folder];
  if (!allowed) return [`${path}: the folder ${folder} has no rule: add it to MAY_IMPORT and to biome.json`];
  return [...source.matchAll(SPECIFIER)].flatMap(([, specifier = ""]) => {
    const target = resolved(path, specifier);
    const to = folderOf(target);
    if (to === folder || (to !== null && allowed.includes(to))) return [];
    return [`${path} imports ${target}: ${folder} may import ${allowed.join(", ") || "no other folder"}`];
  });
}

describe("the dependency rule", () => {
  it("is kept by every import of src/", () => {
    const files = Object.entries(SOURCES).map(([path, source]) => [path.replace(/^(\.\.\/)+/, ""), source] as const);
    expect(files.length).toBeGreaterThan(300);
    expect(files.flatMap(([path, source]) => problemsOf(path, source))).toEqual([]);
  });

  it.each([
    ["a value", "src/platform/a.ts", 'import { x } from "../instance/x.ts";'],
    ["a type", "src/platform/a.ts", 'export type X = import("../instance/x.ts").X;'],
    ["another object", "src/instance/turn/a.ts", 'import type { X } from "../../orchestrator/x.ts";'],
    ["a module at run time", "src/jobs/a.ts", 'await import("../tools/x.ts");'],
    ["a module for its effects", "src/roles/a.ts", 'import "../auth/x.ts";'],
    ["a test", "src/instance/a.ts", 'import { model } from "../../test/support/model.ts";'],
    ["a folder that is new", "src/platform/a.ts", 'import { x } from "../new/x.ts";'],
    ["anything, from a folder that is new", "src/new/a.ts", 'import { x } from "../platform/x.ts";'],
  ])("refuses %s where it is not allowed", (_what, path, source) => {
    expect(problemsOf(path, source)).toHaveLength(1);
  });
});
