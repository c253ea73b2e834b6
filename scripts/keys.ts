/**
 * `npm run keys`: makes a good access key, and says where it goes. `npm run keys -- <tenant> [<scope> ...]` makes it for a
 * tenant, with fewer scopes than all. Keys that are set here already stay.
 */
import { randomBytes } from "node:crypto";
import { type ParsedKeys, parseAccessKeys } from "../src/auth/keys.ts";
import { DEFAULT_TENANT } from "../src/contracts/principal.ts";
import { SCOPES } from "../src/contracts/scopes.ts";
import { settings } from "./settings.ts";

const [tenant = DEFAULT_TENANT, ...scopes] = process.argv.slice(2);
const key = `mdx_${randomBytes(32).toString("base64url")}`;
const entry = scopes.length > 0 ? { key, scopes } : key;

const before = settings().ACCESS_KEYS || "{}";
const problem = (read: ParsedKeys) => (read.ok ? null : read.problem);
const wrong = before === "{}" ? null : problem(parseAccessKeys(before));
if (wrong) stop(`The ACCESS_KEYS that are set here can't be used: the value ${wrong}.`);
const known = JSON.parse(before) as Record<string, unknown>;
const all = JSON.stringify({
  ...known,
  [tenant]: Object.hasOwn(known, tenant) ? [known[tenant], entry].flat() : entry,
});
const made = problem(parseAccessKeys(all));
if (made) stop(`Usage: npm run keys -- [<tenant> [<scope> ...]]. Scopes: ${SCOPES.join(", ")}. ACCESS_KEYS ${made}.`);

console.log(`A key for the tenant ${tenant}${scopes.length > 0 ? `, which may ${scopes.join(", ")}` : ""}:

  ${key}

The server keeps only its hash: note it down. ACCESS_KEYS, with the keys that were set here before:

  ${all}

On this machine, as a line of .dev.vars:     ACCESS_KEYS='${all}'
For a deployment, and then paste the value:  npx wrangler secret put ACCESS_KEYS
In Claude Code:                              claude mcp add --transport http madrox <url>/mcp --header "Authorization: Bearer ${key}"`);

function stop(message: string): never {
  console.error(message);
  process.exit(2);
}
