/**
 * What pins the dependencies without a lock file: the overrides and the record that are made of a tree, and what they are held
 * against.
 */
import { describe, expect, it } from "vitest";
import { differences, overridesOf, recordOf, type Tree, unpinned, wiringOf } from "../../scripts/dependencies/tree.ts";

const at = (version: string, more: Tree[string] = {}) => ({
  version,
  license: "MIT",
  integrity: `sha512-${version}`,
  ...more,
});

/** `a` and `b` ask for different versions of `shared`; the project asks for `own` itself. */
const TREE: Tree = {
  "": { dependencies: { a: "1.0.0", own: "3.1.0" }, devDependencies: { b: "2.0.0" } },
  "node_modules/a": at("1.0.0", { dependencies: { shared: "^1.0.0", alone: "~4.5.0", own: ">=3" } }),
  "node_modules/b": at("2.0.0", { dependencies: { shared: "^2.0.0", exact: "7.0.0", own: "^2.0.0" } }),
  "node_modules/b/node_modules/own": at("2.9.0"),
  "node_modules/b/node_modules/shared": at("2.3.4"),
  "node_modules/own": at("3.1.0"),
  "node_modules/shared": at("1.2.3"),
  "node_modules/alone": at("4.5.6", { dependencies: { renamed: "npm:other@^1.0.0", shared: "1.x" } }),
  "node_modules/renamed": at("1.1.0", { name: "other" }),
  "node_modules/exact": at("7.0.0", { optionalDependencies: { "exact-linux": "7.0.0", maybe: "^1.0.0", never: "*" } }),
  "node_modules/exact-linux": at("7.0.0", { os: ["linux"], optional: true }),
  "node_modules/maybe": at("1.0.1", { optional: true }),
};

describe("the overrides of a tree", () => {
  it("pin every range that something newer could satisfy, and nothing that is exact or the project's own", () => {
    expect(overridesOf(TREE)).toEqual({
      a: { shared: "1.2.3" },
      alone: { ".": "4.5.6", shared: "1.2.3" },
      b: { own: "2.9.0", shared: "2.3.4" },
      maybe: "1.0.1",
      renamed: "npm:other@1.1.0",
    });
  });

  it("give what is below a package the versions that it has there, for npm hands on what holds above", () => {
    // `top` asks for the new `leaf`, and for a `middle` that gets the old one; there is another `middle` elsewhere.
    const deep: Tree = {
      "": { dependencies: { top: "1.0.0", middle: "2.0.0" } },
      "node_modules/top": at("1.0.0", { dependencies: { middle: "^1.0.0", leaf: "^2.0.0", fixed: "1.0.0" } }),
      "node_modules/top/node_modules/middle": at("1.5.0", { dependencies: { leaf: "^1.0.0" } }),
      "node_modules/top/node_modules/middle/node_modules/leaf": at("1.9.0"),
      "node_modules/leaf": at("2.1.0"),
      "node_modules/fixed": at("1.0.0", { dependencies: { leaf: "1.9.0" } }),
      "node_modules/fixed/node_modules/leaf": at("1.9.0"),
      "node_modules/middle": at("2.0.0"),
    };
    expect(overridesOf(deep)).toEqual({
      "middle@1.5.0": { leaf: "1.9.0" },
      top: {
        fixed: { ".": "1.0.0", leaf: "1.9.0" },
        leaf: "2.1.0",
        middle: { ".": "1.5.0", leaf: "1.9.0" },
      },
    });
    expect(wiringOf(deep)).toContain("middle@1.5.0 gets leaf@1.9.0");
  });

  it("leave nothing unpinned, and miss what is taken out of them", () => {
    const overrides = overridesOf(TREE);
    expect(unpinned(TREE, overrides)).toEqual([]);
    const { maybe, ...others } = overrides;
    expect(unpinned(TREE, { ...others, b: { shared: "2.3.4" } })).toEqual([
      "own, which b asks for, is not pinned to 2.9.0",
      "maybe, which exact asks for, is not pinned to 1.0.1",
    ]);
    // An optional package that is not installed leaves one version of another: what pinned two of them is enough.
    const { "node_modules/b/node_modules/shared": gone, ...without } = TREE;
    expect(unpinned({ ...without, "node_modules/b": at("2.0.0") }, overrides)).toEqual([]);
  });
});

describe("the record of a tree", () => {
  it("has each package but those for one platform, with its licence and its hash", () => {
    const record = recordOf(TREE);
    expect(Object.keys(record)).toEqual([
      "a@1.0.0",
      "alone@4.5.6",
      "b@2.0.0",
      "exact@7.0.0",
      "maybe@1.0.1",
      "other@1.1.0",
      "own@2.9.0",
      "own@3.1.0",
      "shared@1.2.3",
      "shared@2.3.4",
    ]);
    expect(record["maybe@1.0.1"]).toEqual({ license: "MIT", integrity: "sha512-1.0.1", optional: true });
  });

  it.each<[string, Tree, string[]]>([
    ["nothing that differs", {}, []],
    [
      "a newer version",
      { "node_modules/alone": at("4.5.7") },
      ["alone@4.5.6 is recorded, and not installed", "alone@4.5.7 is installed, and not recorded"],
    ],
    [
      "another content",
      { "node_modules/a": at("1.0.0", { integrity: "sha512-other" }) },
      ["a@1.0.0 has other content than the one that was recorded"],
    ],
    [
      "another licence",
      { "node_modules/a": at("1.0.0", { license: "SSPL-1.0" }) },
      ["a@1.0.0 has the licence SSPL-1.0, and not MIT"],
    ],
    ["no hash, as after a second npm install", { "node_modules/a": at("1.0.0", { integrity: "" }) }, []],
    ["another platform", { "node_modules/exact-darwin": at("7.0.0", { os: ["darwin"] }) }, []],
  ])("finds %s", (_what, changed, found) => {
    expect(differences(recordOf(TREE), recordOf({ ...TREE, ...changed }))).toEqual(found);
  });

  it("does not miss what is optional", () => {
    const { "node_modules/maybe": gone, ...without } = TREE;
    expect(differences(recordOf(TREE), recordOf(without))).toEqual([]);
  });
});
