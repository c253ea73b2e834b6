/**
 * The keys under which files are kept.
 */
import { describe, expect, it } from "vitest";
import { keyOf, prefixOf } from "../../src/workspace/keys.ts";
import { BAD_PATHS } from "../support/workspace.ts";

describe("a storage key", () => {
  it("is made from a tenant, an instance and a path of a workspace, and from nothing else", () => {
    const id = `inst_${"A".repeat(26)}`;
    const prefix = prefixOf("p", "acme", id);
    expect(keyOf(prefix, "a/b.txt")).toBe(`p/acme/${id}/a/b.txt`);
    for (const [, path] of BAD_PATHS) expect(() => keyOf(prefix, path)).toThrow();
    for (const tenant of ["", "a/b", "..", "a b", "x".repeat(65)]) expect(() => prefixOf("p", tenant, id)).toThrow();
    for (const wrong of ["", "../x", `${id}/..`, id.toLowerCase()])
      expect(() => prefixOf("p", "acme", wrong)).toThrow();
  });
});
