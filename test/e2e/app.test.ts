/**
 * The MCP App in a real browser, in the sandboxed frame of a small host, against the running server.
 */
import { existsSync } from "node:fs";
import axe from "axe-core";
import { type Browser, chromium, type FrameLocator, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";
import type { HostWindow, Look, Opened } from "./app-host.ts";
import { dashboardModel } from "./dashboard-model.ts";

const KEY = "mdx_a-key-for-the-tests-of-the-app";
const CHROMIUM = [
  process.env.CHROMIUM_PATH,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** How long one thing in the view may take before a test gives up; nothing is measured by it. */
const ACTION_MS = 30_000;

/** The colours of a host. The view takes over the ground as it is named. */
const DARK: Look = { theme: "dark", ground: "rgb(38, 38, 36)" };
const LIGHT: Look = { theme: "light", ground: "rgb(255, 255, 255)" };

const HOST_PAGE = `<!doctype html><html lang="en"><title>Host</title>
<style>body { margin: 0 } iframe { width: 100%; height: 120px; border: 0 } [data-mode=fullscreen] iframe { height: 100vh !important }</style>
<body><script src="/host.js"></script></body></html>`;

let model: NodeServer;
let hosting: NodeServer;
let madrox: MadroxServer;
let browser: Browser;
let page: Page;
let view: FrameLocator;
/** What the browser complained about that no test expects, and whatever a view tried to load. */
const complaints: string[] = [];
const ids: Record<string, string> = {};

async function tool(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const response = await fetch(`${madrox.url}/tools/execute`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ tool: name, arguments: input }),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  expect(answer.success, JSON.stringify(answer)).toBe(true);
  return answer;
}

const spawn = async (input: Record<string, unknown>) => String((await tool("spawn_claude", input)).instance_id);
const send = (id: string | undefined, message: string, wait = false) =>
  tool("send_to_instance", { instance_id: id, message, wait_for_response: wait });

/** Has the host call a tool, and shows the view that it has. */
async function open(name: string, input: Record<string, unknown>, more: Partial<Opened> = {}): Promise<void> {
  await page.evaluate((opened) => (window as unknown as { host: HostWindow }).host.open(opened), {
    mcp: `${madrox.url}/mcp`,
    key: KEY,
    tool: name,
    input,
    look: LIGHT,
    ...more,
  });
}

const line = (name: string) => view.getByRole("treeitem", { name });
const heading = (name: string) => view.getByRole("heading", { name, level: 1 });
const stateOf = (word: string) => view.locator(".instance-title .state", { hasText: word }).waitFor();

async function hostScript(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, minify: false, lib: { entry: "test/e2e/app-host.ts", formats: ["iife"], name: "made" } },
  });
  const [first] = Array.isArray(built) ? built : [built];
  if (!first || !("output" in first)) throw new Error("Vite built no host.");
  return first.output[0].code;
}

beforeAll(async () => {
  const executablePath = CHROMIUM.find((path) => path !== undefined && existsSync(path));
  if (!executablePath) throw new Error("These tests need Chromium: apt-get install chromium, or set CHROMIUM_PATH.");
  const simulator = createSimulator({ script: dashboardModel });
  model = await serve((request) => simulator.handle(request));
  const script = await hostScript();
  hosting = await serve(async (request) =>
    request.url.endsWith("/host.js")
      ? new Response(script, { headers: { "content-type": "text/javascript" } })
      : new Response(HOST_PAGE, { headers: { "content-type": "text/html" } }),
  );
  madrox = new MadroxServer({
    env: {
      ACCESS_KEYS: JSON.stringify({ team: KEY }),
      ALLOWED_ORIGINS: hosting.url,
      ANTHROPIC_API_KEY: "a-key-for-tests",
      ANTHROPIC_BASE_URL: model.url,
      MAX_INSTANCES: "100",
      LOG_LEVEL: "ERROR",
    },
  });
  await madrox.start();
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 760, height: 900 }, reducedMotion: "reduce" });
  page = await context.newPage();
  page.setDefaultTimeout(ACTION_MS);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.text().includes("Content Security Policy")) {
      complaints.push(message.text());
    }
  });
  page.on("request", (request) => {
    if (request.frame() !== page.mainFrame()) complaints.push(`a view asked for ${request.url()}`);
  });
  ids.lead = await spawn({ name: "Lead", role: "architect", max_cost: 2 });
  for (const name of ["Backend", "Frontend"]) ids[name] = await spawn({ name, parent_instance_id: ids.lead });
});

afterAll(async () => {
  await browser?.close();
  await madrox?.stop();
  await hosting?.close();
  await model?.close();
});

beforeEach(async () => {
  await page.goto(hosting.url);
  view = page.frameLocator("iframe");
});

describe("the MCP App", () => {
  it("shows the tree beside get_instance_tree, and what changes in it", async () => {
    await open("get_instance_tree", {});
    await line("Lead").getByText("Idle").waitFor();
    await line("Frontend").getByText("Idle").waitFor();
    await send(ids.Frontend, "slowly");
    await line("Frontend").getByText("Working").waitFor();
    await view.getByText("1 at work").waitFor();
    await tool("interrupt_instance", { instance_id: ids.Frontend });
    await line("Frontend").getByText("Idle").waitFor();
    const frame = await page.locator("iframe").boundingBox();
    expect(frame?.height).toBeGreaterThan(200);
  });

  it("goes from the tree to an instance and back, by mouse and by keys", async () => {
    await open("get_instance_tree", {});
    await line("Backend").click();
    await heading("Backend").waitFor();
    await view.getByRole("link", { name: "All instances" }).click();
    await line("Lead").waitFor();
    await view.getByRole("tree").focus();
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await heading("Frontend").waitFor();
    await view.getByText("Limits, health and children").click();
    await view.getByRole("link", { name: "Lead" }).click();
    await heading("Lead").waitFor();
  });

  it("interrupts", async () => {
    const id = await spawn({ name: "Runner" });
    await send(id, "slowly");
    await open("get_instance_output", { instance_id: id });
    await stateOf("Working");
    await view.getByRole("button", { name: "Interrupt" }).click();
    await stateOf("Idle");
  });

  it("sends a message from the page of an instance, shows the answer, and tells the model", async () => {
    await open("get_instance_status", { instance_id: ids.lead });
    await heading("Lead").waitFor();
    await view.getByLabel("Message to Lead").fill("Sketch the app.");
    await view.getByRole("button", { name: "Send" }).click();
    await view.locator(".said", { hasText: "Sketch the app." }).waitFor();
    await view.locator(".said", { hasText: "needs three parts" }).waitFor();
    const told = await page.evaluate(() => (window as unknown as { host: HostWindow }).host.told);
    expect(told).toContain("send_to_instance");
    expect(told).toContain("Sketch the app.");
  });

  it("answers a question", async () => {
    await send(ids.Backend, "ask me");
    await open("get_instance_tree", { root_id: ids.lead });
    await line("Backend").getByText("asks you").waitFor();
    await line("Backend").click();
    await view.locator(".question", { hasText: "Which database should" }).waitFor();
    await view.getByRole("button", { name: "SQLite" }).click();
    await view.locator(".said", { hasText: "Noted. The human answered: SQLite" }).waitFor();
  });

  it("raises the cap of an instance that it had paused", async () => {
    ids.poor = await spawn({ name: "Poor", max_cost: 0.01 });
    await send(ids.poor, "much");
    await open("get_instance_status", { instance_id: ids.poor });
    await view.getByRole("button", { name: "Raise the cap" }).click();
    await view.getByLabel("Cost, in USD").fill("5");
    await view.getByRole("dialog").getByRole("button", { name: "Set limits" }).click();
    await stateOf("Idle");
  });

  it("shows the team beside spawn_team, and all instances when asked", async () => {
    await open("spawn_team", { template: "software_engineering" });
    await view.getByRole("button", { name: "All instances" }).waitFor();
    await expect.poll(() => line("Poor").count()).toBe(0);
    await view.getByRole("button", { name: "All instances" }).click();
    await line("Poor").waitFor();
  });

  it("follows the host's colours, and takes the room that it gives", async () => {
    await open("get_instance_tree", {}, { look: DARK });
    await line("Poor").waitFor();
    const ground = () => view.locator("html").evaluate((html) => getComputedStyle(html).backgroundColor);
    expect(await ground()).toBe("rgb(38, 38, 36)");
    await page.evaluate((look) => (window as unknown as { host: HostWindow }).host.change(look), LIGHT);
    await view.locator("html[data-theme=light]").waitFor();
    expect(await ground()).toBe("rgb(255, 255, 255)");
    await view.getByRole("button", { name: "Show it large" }).click();
    await view.locator("html[data-mode=fullscreen]").waitFor();
    await view.getByRole("button", { name: "Back into the conversation" }).click();
    await view.locator("html[data-mode=inline]").waitFor();
  });

  it.each([
    ["refused", "The user said no."],
    ["none", "does not let views run tools"],
  ] as const)("says so where the host runs no tools for it (%s)", async (tools, words) => {
    await open("get_instance_tree", {}, { tools });
    await view.getByText(words).first().waitFor();
  });

  it("has nothing for axe to find, wide and narrow, dark and light", async () => {
    await send(ids.Frontend, "ask me");
    const places = [
      ["get_instance_tree", {}, ".line"],
      ["get_instance_status", { instance_id: ids.lead }, ".turn"],
      ["get_instance_output", { instance_id: ids.Frontend }, ".question"],
    ] as const;
    for (const [name, input, sight] of places) {
      for (const width of [760, 340]) {
        await page.setViewportSize({ width, height: 900 });
        for (const look of [LIGHT, DARK]) {
          await page.goto(hosting.url);
          await open(name, input, { look });
          await view.locator(sight).first().waitFor();
          await assertNoViolations(`${name} ${width} ${look.theme}`);
          const over = await view.locator("html").evaluate((html) => html.scrollWidth - html.clientWidth);
          expect(over, `${name} ${width}`).toBe(0);
        }
      }
    }
  });

  it("has made the browser complain of nothing, and has loaded nothing", () => {
    expect(complaints).toEqual([]);
  });
});

/** Looked for inside the view alone: the host's page is not what is tested. */
async function assertNoViolations(place: string): Promise<void> {
  const frame = page.frames().find((one) => one !== page.mainFrame());
  if (!frame) throw new Error("There is no view.");
  // Evaluated from outside: the view's policy lets no such script in.
  await frame.evaluate(axe.source);
  const violations = await frame.evaluate(async () => {
    const { axe } = window as unknown as { axe: Axe };
    return (await axe.run()).violations.map(({ id, nodes }) => ({
      id,
      nodes: nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`),
    }));
  });
  expect(violations, place).toEqual([]);
}

interface Axe {
  run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
}
