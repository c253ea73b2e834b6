/**
 * `npm run audit:verify -- <file or server url> [--head <seq>:<hash>]`: whether an audit export is whole. A file has JSON lines as
 * `GET /audit` gives them (or segments from R2, one after another; - is standard input). A url is a server's: then its export is
 * read, up to the head that it names. MADROX_ACCESS_KEY is sent as the key. Ends with 1 when something is wrong.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import type { ChainLink } from "../src/contracts/orchestrator.ts";
import { ChainVerifier, GENESIS } from "../src/orchestrator/store/hash-chain.ts";

const USAGE = "Usage: npm run audit:verify -- <file or server url> [--head <seq>:<hash>]";
/** Problems that are shown: one cut makes one, a file that is something else makes many. */
const SHOWN = 20;

const [source, option, value] = process.argv.slice(2);
if (!source || (option !== undefined && option !== "--head")) stop(USAGE);
const given = option === undefined ? null : headOf(value ?? "");
const key = process.env.MADROX_ACCESS_KEY;
const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};

const isUrl = /^https?:\/\//.test(source);
const base = source.replace(/\/+(audit)?$/, "");
const head = given ?? (isUrl ? ((await (await get(`${base}/audit/head`)).json()) as ChainLink) : null);
const verifier = new ChainVerifier();
try {
  for await (const line of createInterface({ input: await open(source), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line !== "") verifier.add(line);
  }
} catch (error) {
  verifier.problems.push(`reading broke off: ${error instanceof Error ? error.message : String(error)}`);
}
if (head) verifier.endsAt(head);

const { first, last, problems, count } = verifier;
if (problems.length > 0) {
  console.error(`NOT whole: ${problems.length} ${problems.length === 1 ? "problem" : "problems"} in ${count} lines.`);
  for (const problem of problems.slice(0, SHOWN)) console.error(`- ${problem}`);
  process.exit(1);
}
if (!first || !last) {
  console.log("There are no lines, and so nothing is wrong with them.");
} else {
  const whole = first.prev === GENESIS;
  console.log(
    `${whole ? "Whole" : "Consistent"}: ${count} lines, ${first.seq} to ${last.seq}, none changed, removed, added or moved between them. Head: ${last.seq}:${last.hash}`,
  );
  if (!whole)
    console.log(
      `NOT from the start: it begins at line ${first.seq}. Whether the lines before it were cut off, and what they said, can't be known from it.`,
    );
  if (!head)
    console.log("Whether lines are missing at the end shows only against a head: --head, from GET /audit/head.");
  console.log(
    "Whoever can write the server's storage can make all hashes from a line on anew: keep heads elsewhere, and see that a later export still has them.",
  );
}

async function open(from: string): Promise<NodeJS.ReadableStream> {
  if (from === "-") return process.stdin;
  if (!isUrl) return createReadStream(from);
  const { body } = await get(`${base}/audit`);
  return body ? Readable.fromWeb(body as NodeStream) : Readable.from([]);
}

async function get(url: string): Promise<Response> {
  const response = await fetch(url, { headers }).catch((error: unknown) =>
    stop(`${url} can't be reached: ${String(error)}`),
  );
  if (!response.ok) stop(`${url} answers ${response.status}. With access keys, set MADROX_ACCESS_KEY.`);
  return response;
}

function headOf(text: string): ChainLink {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq === undefined || hash === undefined) stop(`${USAGE}\nA head is <seq>:<hash>, as GET /audit/head names them.`);
  return { seq: Number(seq), hash };
}

function stop(message: string): never {
  console.error(message);
  process.exit(2);
}
