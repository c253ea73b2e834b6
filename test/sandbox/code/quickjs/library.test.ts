/**
 * What a program finds in its sandbox works as it does under Node. Here the modules run beside the runtime's own of the same
 * name; that they work inside the engine too is shown with the tools (test/sandbox/tools.test.ts).
 */
import nodeAssert from "node:assert";
import nodePath from "node:path";
import nodeUtil from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { structuredClone as clone } from "../../../../src/sandbox/code/quickjs/library/clone.ts";
import assert from "../../../../src/sandbox/code/quickjs/library/node/assert.ts";
import path from "../../../../src/sandbox/code/quickjs/library/node/path.ts";
import util from "../../../../src/sandbox/code/quickjs/library/node/util.ts";
import { exitStatus } from "../../../../src/sandbox/code/quickjs/library/process.ts";
import { isBuiltin, librarySource } from "../../../../src/sandbox/code/quickjs/library.ts";

const segment = fc.constantFrom("a", "b.js", "..", ".", "", "c.d.ts", ".env", "name with space", "trailing.");
const paths = fc
  .tuple(fc.constantFrom("", "/"), fc.array(segment, { maxLength: 5 }), fc.constantFrom("", "/"))
  .map(([start, parts, end]) => start + parts.join("/") + end);

describe("node:path in a program", () => {
  it.each(["normalize", "dirname", "basename", "extname", "isAbsolute"] as const)("%s answers as Node's", (name) => {
    fc.assert(fc.property(paths, (one) => path[name](one) === nodePath.posix[name](one)));
  });

  it.each(["join", "resolve"] as const)("%s answers as Node's", (name) => {
    fc.assert(
      fc.property(
        fc.array(paths, { maxLength: 4 }),
        (parts) => path[name]("/from", ...parts) === nodePath.posix[name]("/from", ...parts),
      ),
    );
  });

  it("relative answers as Node's", () => {
    const same = (from: string, to: string) => path.relative(from, to) === nodePath.posix.relative(from, to);
    fc.assert(fc.property(paths, paths, (from, to) => same(`/x/${from}`, `/x/${to}`)));
  });
});

describe("node:assert in a program", () => {
  class Point {
    x: number;
    constructor(x: number) {
      this.x = x;
    }
  }
  const values: unknown[] = [
    ...[0, -0, 1, "1", "", null, undefined, Number.NaN, true, 1n],
    ...[[], [1], [1, 2], { a: 1 }, { a: "1" }, { a: 1, b: undefined }, new Point(1), { x: 1 }],
    ...[new Map([["a", [1]]]), new Map([["a", [2]]]), new Set([1, 2]), new Set([2, 1]), new Set([{ a: 1 }])],
    ...[new Date(0), new Date(1), /a/, /a/i, new Error("a"), new Error("b"), new TypeError("a")],
    ...[new Uint8Array([1]), new Uint8Array([2])],
  ];
  const strict = ["strictEqual", "notStrictEqual", "deepStrictEqual", "notDeepStrictEqual"] as const;
  const holds = (work: () => unknown): boolean => {
    try {
      work();
      return true;
    } catch {
      return false;
    }
  };

  it.each(strict)("%s accepts and refuses what Node's does, for every pair of values", (name) => {
    const different = values.flatMap((left) =>
      values
        .filter((right) => holds(() => assert[name](left, right)) !== holds(() => nodeAssert[name](left, right)))
        .map((right) => nodeUtil.inspect([left, right])),
    );
    expect(different).toEqual([]);
  });

  // The loose comparisons of the runtime are its strict ones. These are the pairs of different values that are equal in Node 24.
  const equalInNode = {
    equal: [
      ...["[ 0, -0 ]", "[ 0, '' ]", "[ 0, [] ]", "[ -0, '' ]", "[ -0, [] ]", "[ 1, '1' ]", "[ 1, true ]", "[ 1, 1n ]"],
      ...["[ 1, [ 1 ] ]", "[ 1, Uint8Array(1) [ 1 ] ]", "[ '1', true ]", "[ '1', 1n ]", "[ '1', [ 1 ] ]"],
      ...["[ '1', Uint8Array(1) [ 1 ] ]", "[ '', [] ]", "[ null, undefined ]", "[ true, 1n ]", "[ true, [ 1 ] ]"],
      ...["[ true, Uint8Array(1) [ 1 ] ]", "[ 1n, [ 1 ] ]", "[ 1n, Uint8Array(1) [ 1 ] ]"],
    ],
    deepEqual: [
      ...["[ 0, -0 ]", "[ 0, '' ]", "[ -0, '' ]", "[ 1, '1' ]", "[ 1, true ]", "[ 1, 1n ]", "[ '1', true ]"],
      ...["[ '1', 1n ]", "[ null, undefined ]", "[ true, 1n ]", "[ { a: 1 }, { a: '1' } ]"],
      ...["[ Point { x: 1 }, { x: 1 } ]", "[ Set(2) { 1, 2 }, Set(2) { 2, 1 } ]"],
    ],
  };
  it.each([
    ["equal", "notEqual"],
    ["deepEqual", "notDeepEqual"],
  ] as const)("%s and %s accept and refuse what Node's do, for every pair of values", (name, opposite) => {
    const pairs = values.flatMap((left, i) => values.slice(i + 1).map((right) => [left, right] as const));
    const equal = pairs.filter(([left, right]) => holds(() => assert[name](left, right)));
    expect(equal.map((pair) => nodeUtil.inspect(pair))).toEqual(equalInNode[name]);
    for (const [left, right] of pairs) {
      expect(holds(() => assert[opposite](left, right))).not.toBe(holds(() => assert[name](right, left)));
    }
  });

  const failing = () => {
    throw Object.assign(new TypeError("it is broken"), { code: "E_BROKEN" });
  };
  const expectations = [
    ...[undefined, /broken/, /whole/, TypeError, RangeError, Error, { code: "E_BROKEN" }, { code: "E_OTHER" }],
    ...[{ message: /broken/ }, (error: unknown) => error instanceof TypeError, () => false],
  ];
  it.each(expectations.map((expected) => [nodeUtil.inspect(expected), expected] as const))(
    "throws and rejects take %s as Node's do",
    async (_name, expected) => {
      const wanted = expected as RegExp;
      const settled = async (work: Promise<void>) => (await Promise.allSettled([work]))[0].status;
      for (const run of [failing, () => undefined]) {
        expect(holds(() => assert.throws(run, wanted))).toBe(holds(() => nodeAssert.throws(run, wanted)));
        const work = async () => run();
        expect(await settled(assert.rejects(work, wanted))).toBe(await settled(nodeAssert.rejects(work, wanted)));
      }
    },
  );

  it("says what was expected and what was there", () => {
    expect(() => assert.strictEqual(1, 2)).toThrow(/strictly equal:\s+actual: 1\s+expected: 2/);
    expect(() => assert.ok(0, "no luck")).toThrow(/^no luck$/);
    expect(() => assert.throws(() => undefined)).toThrow(/Missing expected exception/);
    expect(() => assert.doesNotThrow(failing)).toThrow(/Got unwanted exception/);
    expect(() => assert.match("abc", /x/)).toThrow(/did not match/);
    expect(() => assert.fail()).toThrow(expect.objectContaining({ code: "ERR_ASSERTION" }));
  });
});

describe("values as text in a program", () => {
  class Point {
    x = 1;
  }
  const circle: Record<string, unknown> = { a: 1 };
  circle.self = [circle];
  it.each([
    [1, -0, 1n, "it's", 'say "hi"', "\u0001`'\"", true, null, undefined, Symbol("s")],
    [[1, "a", [2]], { a: 1, "b c": [null], [Symbol("k")]: 2 }, new Point(), Object.create(null), [], {}],
    [new Map<unknown, unknown>([["a", { b: 1 }]]), new Set([1, "x"]), new Date(0), /x/g, new Uint8Array([1, 2])],
    [{ a: { b: { c: { d: 1 } } } }, [[[[1]]]], function named() {}, () => {}],
  ])("%s and its neighbours are shown as Node shows them", (...shown) => {
    for (const value of shown) expect(util.inspect(value)).toBe(nodeUtil.inspect(value));
  });

  it("names circles and cuts what is long", () => {
    expect(util.inspect(circle)).toBe("{ a: 1, self: [ [Circular] ] }");
    expect(util.inspect(Array.from({ length: 102 }, () => 0))).toMatch(/0,\n\s+\.\.\. 2 more items\n\]$/);
  });

  it.each([
    [["%s is %d%%", "x", "5", "and", { a: 1 }]],
    [["%i %f %j %o", "4.7", "4.7", { a: 1 }]],
    [["%s"]],
    [["a", 1, [2]]],
    [[1, "%s", 2]],
  ])("%j is formatted as Node formats it", (values) => {
    if (!String(values[0]).includes("%o")) expect(util.format(...values)).toBe(nodeUtil.format(...values));
    else expect(util.format(...values)).toBe('4 4.7 {"a":1} %o');
  });
});

describe("the end of a program", () => {
  it.each([
    [undefined, 0],
    [null, 0],
    [7, 7],
    ["7", 7],
    [256, 0],
    [-1, 255],
    [2 ** 40 + 3, 3],
  ])("process.exit(%j) is the status %i, as under Node", (code, status) => {
    expect(exitStatus(code)).toBe(status);
  });

  it.each(["x", "", Number.NaN, 1.5, Number.POSITIVE_INFINITY, {}, true])("%s is no status, as under Node", (code) => {
    expect(() => exitStatus(code)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }));
  });
});

describe("structuredClone in a program", () => {
  it("copies what is nested, keeps circles, and shares nothing", () => {
    const value: Record<string, unknown> = { list: [1, new Map([["k", new Set([1])]])], when: new Date(5), re: /x/i };
    value.self = value;
    const made = clone(value);
    expect(made).toEqual(value);
    expect(made.self).toBe(made);
    expect(made.list).not.toBe(value.list);
    expect(() => clone({ run: () => 1 })).toThrow(TypeError);
  });
});

describe("the modules that there are", () => {
  it.each(["node:assert", "assert", "node:test", "fs/promises", "node:assert/strict", "path"])("%s is one", (name) => {
    expect(isBuiltin(name)).toBe(true);
  });

  it.each(["test", "library:host", "host", "node:http", "constructor", "node:constructor"])("%s is none", (name) => {
    expect(isBuiltin(name)).toBe(false);
  });

  it("import each other by names that there are", () => {
    const imported = (source: string) => [...source.matchAll(/ from "([^"]+)"/g)].map(([, name = ""]) => name);
    const missing = imported(librarySource("library:globals") ?? "").filter((name) => !librarySource(name));
    expect(missing).toEqual([]);
  });
});
