/**
 * The dashboard in a real browser: signing in, watching, answering, capping, ending, a server that is killed under the open
 * page, a thousand instances, and what axe finds on every page.
 */
import { readFile } from "node:fs/promises";
import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";
import { openBrowser } from "./browser.ts";
import { dashboardModel } from "./dashboard-model.ts";

const KEY = "mdx_a-key-for-the-tests-of-the-dashboard";

/** How long one thing on the page may take before a test gives up; nothing is measured by it. */
const ACTION_MS = 20_000;

let model: NodeServer;
let madrox: MadroxServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the browser complained about that no test expects: errors of the page, and breaches of its policy. */
const complaints: string[] = [];

const tool = (name: string, input: Record<string, unknown>) => post("/tools/execute", { tool: name, arguments: input });

async function post(path: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
  const response = await fetch(madrox.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  expect(answer.success, JSON.stringify(answer)).toBe(true);
  return answer;
}

async function spawn(input: Record<string, unknown>): Promise<string> {
  return String((await tool("spawn_claude", input)).instance_id);
}

const send = (id: string, message: string, wait = false) =>
  tool("send_to_instance", { instance_id: id, message, wait_for_response: wait });

interface Logged {
  seq: number;
  data: Record<string, unknown>;
}

async function logged(): Promise<Logged[]> {
  const response = await fetch(`${madrox.url}/events?limit=500`, {
    headers: { accept: "application/json", authorization: `Bearer ${KEY}` },
  });
  return ((await response.json()) as { events: Logged[] }).events.reverse();
}

const line = (name: string) => page.getByRole("treeitem", { name });
/** Goes to a page as a visitor does, without loading it anew. */
const visit = (place: string) =>
  page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: place }).click();
const stateOf = (word: string) => page.locator(".instance-title .state", { hasText: word }).waitFor();

beforeAll(async () => {
  const simulator = createSimulator({ script: dashboardModel });
  model = await serve((request) => simulator.handle(request));
  madrox = new MadroxServer({
    env: {
      ACCESS_KEYS: JSON.stringify({ team: KEY }),
      ANTHROPIC_API_KEY: "a-key-for-tests",
      ANTHROPIC_BASE_URL: model.url,
      MAX_INSTANCES: "5000",
      LOG_LEVEL: "ERROR",
    },
  });
  await madrox.start();
  browser = await openBrowser();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
  page = await context.newPage();
  page.setDefaultTimeout(ACTION_MS);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) complaints.push(message.text());
  });
});

afterAll(async () => {
  await browser?.close();
  await madrox?.stop();
  await model?.close();
});

const ids: Record<string, string> = {};

describe("the dashboard", () => {
  it("lets in who has a key, and nobody else", async () => {
    await page.goto(`${madrox.url}/dashboard`);
    await page.getByLabel("Access key").fill("not-the-key-of-anybody-here");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("not accepted").waitFor();
    await page.getByLabel("Access key").fill(KEY);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("No instances yet").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.reload();
    await page.getByText("Live", { exact: true }).waitFor();
    expect((await logged()).filter(({ data }) => data.tool === "sign_in")).toHaveLength(1);
    expect(page.url()).not.toContain(KEY);
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(KEY);
  });

  it("spawns an instance", async () => {
    await page.getByRole("button", { name: "Spawn" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Lead");
    await dialog.getByRole("combobox", { name: /^Role/ }).selectOption("architect");
    await dialog.getByRole("button", { name: "Spawn" }).click();
    await page.getByRole("heading", { name: "Lead" }).waitFor();
    ids.lead = page.url().split("/").at(-1) ?? "";
    await page.getByLabel("Message to Lead").fill("Sketch the app.");
    await page.keyboard.press("Enter");
    await page.getByText("needs three parts").waitFor();
    await stateOf("Idle");
  });

  it("shows three specialists at work, and one of them in the middle of its answer", async () => {
    await visit("Instances");
    for (const name of ["Backend", "Frontend", "Tester"]) {
      ids[name] = await spawn({ name, parent_instance_id: ids.lead });
      await send(ids[name], "slowly");
    }
    for (const name of ["Backend", "Frontend", "Tester"]) await line(name).getByText("Working").waitFor();
    await line("Backend").click();
    const writing = page.locator(".writing");
    await writing.locator("li").getByText("The part").first().waitFor();
    const before = ((await writing.textContent()) ?? "").length;
    await page.waitForFunction(
      (length) => (document.querySelector(".writing")?.textContent?.length ?? 0) > length + 200,
      before,
    );
  });

  it("goes on by itself with a server that was killed and started again under the open page, and loses no event", async () => {
    await madrox.kill();
    await page.getByText("Reconnecting").waitFor();
    await madrox.start();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator(".writing li").nth(1).getByText("The part").waitFor();
    await send(ids.lead ?? "", "Once more.", true);
    await visit("Events");
    const log = await logged();
    await page.locator(`tr[data-seq="${log.at(-1)?.seq}"]`).waitFor();
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save as JSON lines" }).click(),
    ]);
    const shown = (await readFile(await saved.path(), "utf8"))
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text));
    expect(shown.slice(0, log.length)).toEqual(log);
    expect(shown.map((event) => event.seq)).toEqual(shown.map((_, i) => i + 1));
  });

  it("interrupts", async () => {
    await visit("Instances");
    await line("Backend").click();
    await page.getByRole("button", { name: "Interrupt" }).click();
    await stateOf("Idle");
    await expect.poll(() => page.locator(".writing").count()).toBe(0);
    for (const name of ["Frontend", "Tester"]) await tool("interrupt_instance", { instance_id: ids[name] });
  });

  it("answers a question", async () => {
    await send(ids.Backend ?? "", "ask me");
    await page.getByRole("link", { name: /^Questions\s*1 open/ }).click();
    await page.getByText("Which database should").waitFor();
    await page.getByRole("button", { name: "SQLite" }).click();
    await page.getByText("Nobody asks anything").waitFor();
    await visit("Instances");
    await line("Backend").click();
    await page.locator(".said", { hasText: "Noted. The human answered: SQLite" }).waitFor();
  });

  it("raises the cap of an instance that it had paused", async () => {
    ids.poor = await spawn({ name: "Poor", max_cost: 0.01 });
    await send(ids.poor, "much");
    await visit("Instances");
    await line("Poor").getByText("Paused").waitFor();
    await line("Poor").click();
    await page.getByRole("button", { name: "Raise the cap" }).click();
    await page.getByLabel("Cost, in USD").fill("5");
    await page.getByRole("dialog").getByRole("button", { name: "Set limits" }).click();
    await stateOf("Idle");
    await page.getByText("of $5.00").first().waitFor();
  });

  it("saves a file that an instance has written", async () => {
    await page.getByLabel("Message to Poor").fill("write a file");
    await page.keyboard.press("Enter");
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "docs/plan.md" }).click(),
    ]);
    expect(await readFile(await saved.path(), "utf8")).toContain("# Plan");
  });

  it("terminates after asking once more, children included", async () => {
    await visit("Instances");
    await line("Lead").click();
    await page.getByRole("button", { name: "Terminate" }).click();
    await page.getByRole("button", { name: "Terminate 4 instances" }).click();
    await stateOf("Ended");
    await visit("Instances");
    await line("Poor").waitFor();
    await expect.poll(() => line("Lead").count()).toBe(0);
    await page.getByLabel("Show ended").check();
    await line("Tester").getByText("Ended").waitFor();
    await page.getByLabel("Show ended").uncheck();
  });

  it("shows a job with its ballots", async () => {
    const members = await Promise.all(["Ada", "Ben", "Cleo", "Dora"].map((name) => spawn({ name })));
    const { task_id } = await tool("coordinate_instances", {
      coordinator_id: members[0],
      participant_ids: members.slice(1),
      task_description: "Which database?",
      coordination_type: "consensus",
      options: { choices: ["PostgreSQL", "SQLite"] },
    });
    ids.job = String(task_id);
    await visit("Jobs");
    await page.getByRole("link", { name: /^Consensus/ }).click();
    await page.locator(".decision").getByText("PostgreSQL").waitFor();
    await expect.poll(() => page.locator(".ballot").count()).toBe(3);
    // Three votes, and what came of them.
    await expect.poll(() => page.locator(".node").count()).toBe(4);
    await page.locator(".node-decision").getByText("PostgreSQL").waitFor();
  });

  it("charts what was spent, by role, model and instance", async () => {
    await visit("Spend");
    for (const [by, row] of [
      ["Role", "General"],
      ["Model", "Sonnet 5.5"],
      ["Instance", "Poor"],
    ]) {
      await page.getByRole("button", { name: by }).click();
      await page.getByRole("rowheader", { name: row }).waitFor();
    }
    await expect.poll(() => page.locator(".chart .part").count()).toBeGreaterThan(0);
  });

  it("has nothing for axe to find on any page, at desktop and phone width, light and dark", async () => {
    const places: [place: string, sight: string][] = [
      ["", ".line"],
      [`/instances/${ids.poor}`, ".turn"],
      [`/instances/${ids.lead}`, ".turn"],
      ["/questions", ".notice"],
      ["/jobs", ".job-line"],
      [`/jobs/${ids.job}`, ".ballot"],
      ["/spend", ".chart"],
      ["/events", ".log"],
    ];
    for (const [place, sight] of places) {
      await page.goto(`${madrox.url}/dashboard${place}`);
      await page.locator(sight).first().waitFor();
      await assertNoViolations(place);
    }
    await page.goto(`${madrox.url}/dashboard/instances/${ids.poor}`);
    for (const button of ["Spawn below", "Set limits", "Terminate"]) {
      await page.getByRole("button", { name: button }).click();
      await page.getByRole("dialog").waitFor();
      await assertNoViolations(`dialog ${button}`);
      await page.keyboard.press("Escape");
    }
  });

  it("holds a thousand instances, draws those in sight, and finds one", async () => {
    const member = (n: number) => ({ name: `Member ${n}`, role: "general", prompt: "Work." });
    const template = {
      name: "crowd",
      title: "Crowd",
      summary: "Many at once.",
      supervisor: { name: "Foreman", prompt: "Lead." },
      members: Array.from({ length: 20 }, (_, n) => member(n)),
    };
    await post("/templates", template);
    for (let team = 1; team <= 48; team++) {
      await tool("spawn_team", { template: "crowd", overrides: { names: { Foreman: `Foreman ${team}` } } });
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.goto(`${madrox.url}/dashboard`);
    await line("Poor").waitFor();
    await expect.poll(() => page.getByRole("treeitem").count()).toBeLessThan(60);
    await page.getByRole("tree").focus();
    await page.keyboard.press("End");
    await page.locator("[role=treeitem][aria-selected=true]", { hasText: "Member" }).waitFor();
    await expect.poll(() => page.getByRole("treeitem").count()).toBeLessThan(60);
    await page.getByRole("searchbox").fill("Foreman 33");
    await line("Foreman 33").waitFor();
    await expect.poll(() => page.getByRole("treeitem").count()).toBe(1);
    await page.getByRole("searchbox").press("Enter");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Foreman 33" }).waitFor();
  });

  it("has made the browser complain of nothing", () => {
    expect(complaints).toEqual([]);
  });
});

/** At each width with the colours in which it is looked at for everything, and in the others for contrast. */
const LOOKS = [
  { width: 1280, colorScheme: "light", rules: null },
  { width: 1280, colorScheme: "dark", rules: ["color-contrast"] },
  { width: 390, colorScheme: "dark", rules: null },
  { width: 390, colorScheme: "light", rules: ["color-contrast"] },
] as const;

async function assertNoViolations(place: string): Promise<void> {
  // Evaluated from outside: the page's policy lets no such script in.
  await page.evaluate(axe.source);
  for (const { width, colorScheme, rules } of LOOKS) {
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const violations = await page.evaluate(async (values) => {
      const { axe } = window as unknown as { axe: Axe };
      const found = await axe.run(values ? { runOnly: { type: "rule", values } } : {});
      return found.violations.map(({ id, nodes }) => ({
        id,
        nodes: nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`),
      }));
    }, rules);
    expect(violations, `${place} ${width} ${colorScheme}`).toEqual([]);
  }
}

interface Axe {
  run(options: object): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
}
