/**
 * What wrangler brings along: the runtime, and Miniflare's stand-ins for what the platform binds. The tests' plugin has copies
 * of its own at the top of node_modules; what is served is wrangler's.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import type * as Miniflare from "miniflare";

const ofWrangler = createRequire(createRequire(import.meta.url).resolve("wrangler/package.json"));

/** Wrangler's command, to be run by Node. */
export const WRANGLER = join(ofWrangler.resolve("wrangler/package.json"), "../bin/wrangler.js");

/** The program of the runtime, and its version. Quick: nothing else is loaded for it. */
export function runtime(): { program: string; version: string } {
  const { default: program, version } = ofWrangler("workerd") as { default: string; version: string };
  return { program, version };
}

/** Takes a third of a second, and some hundred megabytes. */
export function miniflare(): typeof Miniflare {
  return ofWrangler("miniflare") as typeof Miniflare;
}

/** A file of Miniflare's. */
export function miniflareFile(path: string): string {
  return join(ofWrangler.resolve("miniflare"), "..", path);
}
