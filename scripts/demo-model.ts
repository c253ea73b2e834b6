/**
 * What the simulator says in the demo, in the place of four models: a small task-management app that works. Everything else
 * (instances, tools, files, the job, the bill) is the real thing.
 */
import type { Script, ScriptBlock, ScriptCall } from "../src/anthropic/simulator/simulator.ts";

const TASKS_JS = `/** The tasks of one user, in memory. Every change gives back the task as it is then. */
export class TaskList {
  #tasks = new Map();
  #next = 1;

  add(title, due = null) {
    if (typeof title !== "string" || title.trim() === "") throw new TypeError("A task needs a title.");
    const task = { id: this.#next++, title: title.trim(), due, done: false };
    this.#tasks.set(task.id, task);
    return { ...task };
  }

  complete(id) {
    const task = this.#tasks.get(id);
    if (!task) throw new RangeError(\`There is no task \${id}.\`);
    task.done = true;
    return { ...task };
  }

  remove(id) {
    return this.#tasks.delete(id);
  }

  /** Open ones first, then by due date; those without one last. */
  list() {
    const key = (task) => \`\${task.done ? 1 : 0}\${task.due ?? "9999"}\`;
    return [...this.#tasks.values()].map((task) => ({ ...task })).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }
}
`;

const INDEX_HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tasks</title>
<h1>Tasks</h1>
<form><input name="title" aria-label="Title" required> <input name="due" type="date" aria-label="Due"> <button>Add</button></form>
<ul></ul>
<script type="module">
  import { TaskList } from "./tasks.js";
  const tasks = new TaskList();
  const list = document.querySelector("ul");
  const show = () => {
    list.replaceChildren(...tasks.list().map((task) => {
      const item = document.createElement("li");
      const done = Object.assign(document.createElement("input"), { type: "checkbox", checked: task.done, disabled: task.done });
      done.onchange = () => { tasks.complete(task.id); show(); };
      item.append(done, \` \${task.title}\${task.due ? \` (\${task.due})\` : ""}\`);
      return item;
    }));
  };
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const { title, due } = Object.fromEntries(new FormData(event.target));
    tasks.add(title, due || null);
    event.target.reset();
    show();
  };
</script>
`;

const TEST_JS = `import assert from "node:assert/strict";
import test from "node:test";
import { TaskList } from "./tasks.js";

test("a task is added, completed and removed", () => {
  const tasks = new TaskList();
  const { id } = tasks.add(" Write the report ");
  assert.deepEqual(tasks.list(), [{ id, title: "Write the report", due: null, done: false }]);
  assert.equal(tasks.complete(id).done, true);
  assert.equal(tasks.remove(id), true);
  assert.deepEqual(tasks.list(), []);
});

test("open tasks come first, the earliest due at the top", () => {
  const tasks = new TaskList();
  tasks.add("later", "2027-02-01");
  tasks.add("sooner", "2027-01-01");
  tasks.complete(tasks.add("done", "2026-01-01").id);
  assert.deepEqual(tasks.list().map(({ title }) => title), ["sooner", "later", "done"]);
});

test("what is no task is refused", () => {
  assert.throws(() => new TaskList().add("  "), TypeError);
  assert.throws(() => new TaskList().complete(1), RangeError);
});
`;

const REVIEW = `# Review

- tasks.js: titles are checked, ids are never reused, callers get copies. Accept.
- index.html: builds its rows from text nodes, so a title can't inject markup. Accept.
- Left out, and not asked for: tasks are gone when the page is closed.
`;

const README = `# Tasks

Serve this folder (\`npx serve\`) and open index.html. Tests: \`node --test\`. review.md says what was checked.
`;

const call = (name: string, input: Record<string, unknown>): ScriptBlock => ({ type: "tool_use", name, input });
const write = (path: string, content: string) => call("write_file", { path, content });

interface Part {
  /** A word of the role in the system prompt. */
  role: RegExp;
  /** One model call each. */
  steps: readonly ScriptBlock[];
  answer: string;
}

const PARTS: readonly Part[] = [
  {
    role: /backend/i,
    steps: [write("tasks.js", TASKS_JS)],
    answer: "tasks.js has the class TaskList: add(title, due), complete(id), remove(id), list().",
  },
  {
    role: /frontend/i,
    steps: [call("read_file", { path: "tasks.js" }), write("index.html", INDEX_HTML)],
    answer: "index.html shows, adds and completes tasks over TaskList.",
  },
  {
    role: /test/i,
    steps: [call("read_file", { path: "tasks.js" }), write("tasks.test.js", TEST_JS), write("review.md", REVIEW)],
    answer: "tasks.test.js has three tests, review.md my findings: accept.",
  },
  {
    role: /architect/i,
    steps: [call("list_files", {}), write("README.md", README)],
    answer: "The app is complete: tasks.js, index.html, tasks.test.js, review.md and a README.",
  },
];

/** The next step of whoever is asked, by its role and by how far it is. */
export function demoModel({ body, step }: ScriptCall): Script | undefined {
  const system = JSON.stringify(body.system ?? "").slice(0, 200);
  const part = PARTS.find(({ role }) => role.test(system));
  if (!part) return undefined;
  const next = part.steps[step];
  return { blocks: [next ?? { type: "text", text: `(simulated) ${part.answer}` }], delayMs: 300 };
}
