/**
 * The docs against what they are about: names, defaults, routes, links. And that the environment reaches the server.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { ERROR_STATUS } from "../../src/platform/errors.ts";
import { ACCESS_VARIABLES, CONFIG_VARIABLES, SECRETS } from "../../src/platform/variables.ts";
import { ROOT } from "./programs.ts";

const FILES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...readdirSync(join(ROOT, "docs")).map((f) => `docs/${f}`),
];
const TEXTS = new Map(FILES.map((file) => [file, readFileSync(join(ROOT, file), "utf8")]));
const textOf = (file: string) => TEXTS.get(file) ?? "";
const readme = textOf("README.md");

/** What stands in backticks at the beginning of a table's rows, in one section. */
function firstCells(text: string, heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| `([^`|]+)` \|/gm)].map(([, name = ""]) => name);
}

const server = new MadroxServer({
  env: { ANTHROPIC_API_KEY: "", LOG_LEVEL: "ERROR", ENABLE_ISOLATION: "false", WORKSPACE_MAX_FILE_BYTES: "10" },
});
beforeAll(() => server.start());
afterAll(() => server.stop());

interface Described {
  paths: Record<string, Record<string, { requestBody: { content: Record<string, { schema: Schema }> } }>>;
}
interface Schema {
  properties: Record<string, { enum?: string[] }>;
}
const described = async () => (await (await fetch(`${server.url}/openapi.json`)).json()) as Described;

describe("the README", () => {
  it("names every tool, role and variable, and no other", async () => {
    const { paths } = await described();
    const tools = Object.keys(paths).flatMap((path) => /^\/tools\/([a-z_]+)$/.exec(path)?.[1] ?? []);
    const scopes = ["read", "operate", "admin"];
    expect(firstCells(readme, "Tools").toSorted()).toEqual(
      [...tools.filter((name) => name !== "execute"), ...scopes].toSorted(),
    );
    const roles =
      paths["/tools/spawn_claude"]?.post?.requestBody.content["application/json"]?.schema.properties.role?.enum;
    expect(roles).toHaveLength(10);
    for (const role of roles ?? []) expect(readme).toContain(`\`${role}\``);
    // `npm start` reads these itself; WORKSPACE_DIR is refused, with a word about what to set instead.
    const own = ["ORCHESTRATOR_HOST", "ORCHESTRATOR_PORT"];
    const variables = [...own, ...CONFIG_VARIABLES, ...ACCESS_VARIABLES].filter((name) => name !== "WORKSPACE_DIR");
    expect(firstCells(readme, "Configuration").toSorted()).toEqual(variables.toSorted());
  });
});

describe("the page on REST", () => {
  it("has every route and every error code", async () => {
    const page = textOf("docs/api.md");
    for (const path of Object.keys((await described()).paths)) {
      if (path === "/mcp" || /^\/tools\/(?!execute)/.test(path)) continue;
      expect(page.includes(` ${path}\``), path).toBe(true);
    }
    for (const [code, status] of Object.entries(ERROR_STATUS)) {
      if (code !== "internal") expect(page).toContain(`\`${code}\` ${status}`);
    }
  });
});

describe("what a deployment by button asks for", () => {
  it("is there, and described", () => {
    const asked = Object.keys(parseEnv(readFileSync(join(ROOT, ".dev.vars.example"), "utf8")));
    for (const name of asked) expect(SECRETS.has(name), name).toBe(true);
    const { cloudflare } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      cloudflare: { bindings: Record<string, { description: string }> };
    };
    const wrangler = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
    const [, vars = ""] = /^\[vars\]\n((?:\w+ = .*\n)+)/m.exec(wrangler) ?? [];
    const provided = [
      ...[...vars.matchAll(/^(\w+) =/gm)].map(([, name]) => name),
      ...["durable_objects.bindings", "r2_buckets", "kv_namespaces"].flatMap((table) =>
        [...wrangler.matchAll(new RegExp(`^\\[\\[${table}\\]\\]\\n(?:name|binding) = "(\\w+)"`, "gm"))].map(
          ([, name]) => name,
        ),
      ),
    ];
    expect(Object.keys(cloudflare.bindings).toSorted()).toEqual([...asked, ...provided].toSorted());
  });
});

describe("links", () => {
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );
  const links = FILES.flatMap((file) =>
    [...textOf(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target = ""]) => [file, target] as const),
  );
  it.each(links)("%s: %s", (file, target) => {
    const [path = "", anchor] = target.split("#");
    const there = path === "" ? file : join(dirname(file), path);
    expect(existsSync(join(ROOT, there))).toBe(true);
    if (anchor) expect(anchorsOf(readFileSync(join(ROOT, there), "utf8"))).toContain(anchor);
  });
});

describe("npm start", () => {
  it("passes on every variable of the environment", async () => {
    const { instance_id: id } = await server.tool("spawn_claude", { name: "Ada" });
    const { instance_id: child } = await server.tool("spawn_claude", { name: "Bob", parent_instance_id: id });
    const write = (content: string) =>
      server.tool("write_instance_file", { instance_id: child, path: "a.txt", content });
    expect(await write("more than ten bytes")).toMatchObject({ success: false });
    expect(await write("shared")).toMatchObject({ success: true });
    expect(await server.tool("retrieve_instance_file", { instance_id: id, path: "a.txt" })).toMatchObject({
      content: "shared",
    });
  });
});
