/** `node:test`. What a file registers runs when the file has come to its end, and is reported as TAP. */
import { host } from "../host.ts";
import { inspect } from "../inspect.ts";
import { atEnd, process } from "../process.ts";

type Work = (context?: Context) => unknown;

interface Options {
  skip?: unknown;
  todo?: unknown;
}

interface Context {
  name: string;
  diagnostic(text: string): void;
  skip(): void;
  test(...args: unknown[]): Promise<void>;
}

interface Test {
  name: string;
  run: Work | undefined;
  skip: boolean;
  todo: boolean;
}

type Hooks = Record<"before" | "after" | "beforeEach" | "afterEach", Work[]>;

interface Suite extends Hooks {
  name: string;
  parent: Suite | null;
  /** How deep its own tests are reported. */
  level: number;
  skip: boolean;
  entries: (Test | Suite)[];
}

function suiteOf(name: string, parent: Suite | null): Suite {
  const hooks: Hooks = { before: [], after: [], beforeEach: [], afterEach: [] };
  return { name, parent, level: parent ? parent.level + 1 : 0, skip: false, entries: [], ...hooks };
}

const root = suiteOf("", null);
let current = root;
const totals = { tests: 0, pass: 0, fail: 0, skipped: 0 };

function report(level: number, text: string): void {
  const indent = "  ".repeat(level);
  host.out(1, `${indent}${text.replaceAll("\n", `\n${indent}`)}\n`);
}

/** `test(name, options, work)`, of which each may be missing. */
function argumentsOf(args: readonly unknown[]): { name: string; options: Options; run: Work | undefined } {
  const run = args.find((arg): arg is Work => typeof arg === "function");
  const name = args.find((arg) => typeof arg === "string") ?? (run?.name || "<anonymous>");
  const options = args.find((arg): arg is Options => typeof arg === "object" && arg !== null) ?? {};
  return { name, options, run };
}

function testOf(args: readonly unknown[], given: Options): Test {
  const { name, options, run } = argumentsOf(args);
  const skip = run === undefined || Boolean(options.skip ?? given.skip);
  return { name, run, skip, todo: Boolean(options.todo ?? given.todo) };
}

const adds =
  (given: Options) =>
  (...args: unknown[]): void => {
    current.entries.push(testOf(args, given));
  };

const groups =
  (given: Options) =>
  (...args: unknown[]): void => {
    const { name, options, run } = argumentsOf(args);
    const made = suiteOf(name, current);
    made.skip = Boolean(options.skip ?? given.skip);
    current.entries.push(made);
    const outer = current;
    current = made;
    try {
      run?.();
    } finally {
      current = outer;
    }
  };

function inherited(suite: Suite | null, kind: "beforeEach" | "afterEach"): Work[] {
  return suite ? [...inherited(suite.parent, kind), ...suite[kind]] : [];
}

function contextOf(test: Test, suite: Suite, level: number, failed: string[]): Context {
  return {
    name: test.name,
    diagnostic: (text) => report(level, `# ${text}`),
    skip: () => {
      test.skip = true;
    },
    test: async (...args) => {
      const inner = testOf(args, {});
      if (!(await runTest(inner, suite, level + 1))) failed.push(inner.name);
    },
  };
}

/** Whether it did not fail. */
async function runTest(test: Test, suite: Suite, level: number): Promise<boolean> {
  totals.tests++;
  const number = totals.tests;
  if (test.skip) {
    totals.skipped++;
    report(level, `ok ${number} - ${test.name} # SKIP`);
    return true;
  }
  const failed: string[] = [];
  const context = contextOf(test, suite, level, failed);
  const errors: unknown[] = [];
  const tried = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      errors.push(error);
    }
  };
  await tried(async () => {
    for (const hook of inherited(suite, "beforeEach")) await hook(context);
    await test.run?.(context);
    if (failed.length > 0) throw new Error(`${failed.length} subtests failed`);
  });
  await tried(async () => {
    for (const hook of inherited(suite, "afterEach")) await hook(context);
  });
  if (errors.length === 0 || test.todo) {
    totals.pass++;
    report(level, `ok ${number} - ${test.name}${test.skip ? " # SKIP" : test.todo ? " # TODO" : ""}`);
    return true;
  }
  totals.fail++;
  report(level, `not ok ${number} - ${test.name}`);
  report(level + 1, inspect(errors[0]));
  return false;
}

async function runSuite(suite: Suite): Promise<void> {
  if (suite.parent) report(suite.level - 1, `# ${suite.name}`);
  try {
    if (!suite.skip) for (const hook of suite.before) await hook();
    for (const inner of suite.entries) {
      if ("entries" in inner) await runSuite(Object.assign(inner, { skip: inner.skip || suite.skip }));
      else await runTest(suite.skip ? { ...inner, skip: true } : inner, suite, suite.level);
    }
    if (!suite.skip) for (const hook of suite.after) await hook();
  } catch (error) {
    totals.fail++;
    report(suite.level, `not ok - a hook of ${suite.name || "the file"}`);
    report(suite.level + 1, inspect(error));
  }
}

atEnd(async () => {
  if (root.entries.length === 0) return;
  await runSuite(root);
  for (const [kind, count] of Object.entries(totals)) report(0, `# ${kind} ${count}`);
  if (totals.fail > 0) process.exitCode = 1;
});

export const test = Object.assign(adds({}), { skip: adds({ skip: true }), todo: adds({ todo: true }) });
export const it = test;
export const describe = Object.assign(groups({}), { skip: groups({ skip: true }) });
export { describe as suite };

const hooks = (kind: keyof Hooks) => (hook: Work) => {
  current[kind].push(hook);
};
export const before = hooks("before");
export const after = hooks("after");
export const beforeEach = hooks("beforeEach");
export const afterEach = hooks("afterEach");

export default Object.assign(test, { test, it, describe, before, after, beforeEach, afterEach });
