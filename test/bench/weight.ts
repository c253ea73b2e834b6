/**
 * What the Worker weighs before it has done anything, beside a bare Worker of the same SDKs.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bundle } from "../../scripts/server/build.ts";
import type { Row } from "./row.ts";
import { serveBuilt } from "./workerd.ts";

const PRODUCT = "wrangler.toml";
const AGENT = "test/bench/agent.toml";

/** What a deploy of this configuration uploads, in KiB after gzip. */
export async function uploadKiB(config: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "madrox-upload-"));
  try {
    await bundle(config, folder);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
      [".js", ".mjs", ".wasm", ".txt", ".html", ".bin"].includes(extname(file)),
    );
    return files.reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0) / 1024;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From the start of an empty runtime to the Worker's first answer, in ms; building it is not counted. */
async function firstAnswers(config: string, samples: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < samples; i++) {
    const runtime = await serveBuilt([{ name: "cold", config, vars: {} }]);
    const { url } = runtime;
    const response = await fetch(`${url("cold")}/health`);
    await response.text();
    times.push(performance.now() - runtime.startedAt);
    await runtime.stop();
  }
  return times;
}

const upload: Row = {
  name: "upload, gzip",
  floorName: "an Agent with one MCP tool",
  unit: "KiB",
  target: null,
  measure: async () => ({ product: [await uploadKiB(PRODUCT)], floor: [await uploadKiB(AGENT)] }),
};

const coldStart: Row = {
  name: "start of the runtime to the first answer",
  floorName: "an Agent with one MCP tool",
  // Seen at 1.9 on a quiet machine and 4.4 on a busy one. Far enough above that for any machine; a library that is evaluated at the start and not on its use passes it.
  target: 8,
  measure: async () => ({ product: await firstAnswers(PRODUCT, 3), floor: await firstAnswers(AGENT, 3) }),
};

export const WEIGHT_ROWS: readonly Row[] = [upload, coldStart];
