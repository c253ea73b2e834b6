/**
 * `npm run bundle`: builds the Worker as a deploy would, without an account, and holds its size against the recorded one
 * (bundle-size.json, KiB). Ends with 1 when it has grown by more than a twentieth; `--record` writes the new size down.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const RECORD = new URL("./bundle-size.json", import.meta.url);
const ROOM = 1.05;

interface Size {
  plain: number;
  gzip: number;
}

const wrangler = join("node_modules", "wrangler", "bin", "wrangler.js");
const outdir = join(tmpdir(), "madrox-bundle");
const said = execFileSync(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", outdir], {
  encoding: "utf8",
});
const [, plain, gzip] = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(said) ?? [];
if (!plain || !gzip) throw new Error(`wrangler names no size:\n${said}`);
const size: Size = { plain: Number(plain), gzip: Number(gzip) };

if (process.argv.includes("--record")) writeFileSync(RECORD, `${JSON.stringify(size, null, 2)}\n`);
const recorded = JSON.parse(readFileSync(RECORD, "utf8")) as Size;
console.log(`The Worker has ${size.plain} KiB, ${size.gzip} KiB compressed (recorded: ${recorded.gzip}).`);
if (size.gzip > recorded.gzip * ROOM) {
  console.error("It has grown by more than a twentieth. If that is meant, run npm run bundle -- --record.");
  process.exit(1);
}
