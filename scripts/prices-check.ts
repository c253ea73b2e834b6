/**
 * `npm run prices:check`: compares the price table with a public one, models.dev, where that can be reached. Exits 1 on a
 * difference. What the other source does not list is named, and is no difference.
 */
import * as z from "zod";
import { MODELS } from "../src/anthropic/models.ts";
import { priceOf } from "../src/anthropic/prices.ts";

const SOURCE = "https://models.dev/api.json";

/** USD per million tokens. */
const Listed = z.looseObject({
  cost: z
    .looseObject({
      input: z.number(),
      output: z.number(),
      cache_read: z.number().optional(),
      cache_write: z.number().optional(),
    })
    .optional(),
});
const Source = z.looseObject({ anthropic: z.looseObject({ models: z.record(z.string(), Listed) }) });

/** 1 USD per million tokens is 1,000 nano-USD a token. */
const NANO_PER_LISTED = 1_000;

async function listed(): Promise<z.infer<typeof Source> | null> {
  try {
    const response = await fetch(SOURCE, { signal: AbortSignal.timeout(20_000) });
    return Source.parse(await response.json());
  } catch (error) {
    console.log(
      `${SOURCE} can't be read (${error instanceof Error ? error.message : String(error)}): nothing was compared.`,
    );
    return null;
  }
}

const source = await listed();
let differences = 0;
for (const model of source ? MODELS : []) {
  const theirs = source?.anthropic.models[model.id]?.cost;
  const ours = priceOf(model.id, Date.now(), 0);
  if (!theirs || !ours) {
    console.log(`${model.id}: ${ours ? "not listed there" : "no price here"}`);
    continue;
  }
  const pairs = [
    ["input", ours.input, theirs.input],
    ["output", ours.output, theirs.output],
    ["cache read", ours.cacheRead, theirs.cache_read],
    ["cache write", ours.cacheWrite5m, theirs.cache_write],
  ] as const;
  for (const [name, here, there] of pairs) {
    if (there === undefined || Math.round(there * NANO_PER_LISTED) === here) continue;
    differences += 1;
    console.log(`${model.id}: ${name} is ${here / NANO_PER_LISTED} here and ${there} there (USD per million tokens)`);
  }
}
if (source) console.log(differences === 0 ? "No differences." : `${differences} differences.`);
process.exitCode = differences === 0 ? 0 : 1;
