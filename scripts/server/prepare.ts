/**
 * What comes before the runtime, in a process of its own: wrangler and its tools hold some hundred megabytes, and are done when
 * the server starts. Reads the settings, builds if need be, and writes to two pipes: to file descriptor 3 what the server will be,
 * as JSON (`Prepared`), then to 4 what the runtime is started with. Ends with 2 when something is wrong with the settings, having
 * said what, and having written nothing.
 */
import { closeSync, createWriteStream, writeSync } from "node:fs";
import { resolve } from "node:path";
import { unstable_getMiniflareWorkerOptions as optionsOf, unstable_readConfig as readConfig } from "wrangler";
import { ACCESS_VARIABLES, CONFIG_VARIABLES } from "../../src/platform/variables.ts";
import { addressOf, listenAddress } from "./address.ts";
import { assembled } from "./assemble.ts";
import { type BuildConfig, built } from "./build.ts";

/** What the parent tells: the first argument, as JSON. */
export interface Asked {
  /** A wrangler configuration. */
  config: string;
  /** The folder of what is stored. */
  state: string;
}

/** What is said about the server once it is ready. */
export interface Prepared {
  /** Whether callers need keys. */
  keys: boolean;
  /** Whether Claude answers, and not the simulator. */
  model: boolean;
}

/** The descriptors of the pipes. */
const PREPARED = 3;
const CONFIGURATION = 4;

const asked = JSON.parse(process.argv[2] ?? "") as Asked;
const address = addressOf(process.env);
if (typeof address === "string") stop(address);

const configPath = resolve(asked.config);
const { config, workerOptions } = read(configPath);

/** Whatever .dev.vars says of a name gives way to the environment, also to an empty value: that is none. */
const given = [...CONFIG_VARIABLES, ...ACCESS_VARIABLES].flatMap((name) => {
  const value = process.env[name];
  return value === undefined ? [] : [[name, value] as const];
});
const bindings: Record<string, unknown> = { ...(workerOptions.bindings as object), ...Object.fromEntries(given) };

if (!address.loopback && !bindings.ACCESS_KEYS) {
  stop(
    `ORCHESTRATOR_HOST is ${address.host}, but without ACCESS_KEYS this server only serves this machine: use localhost, 127.0.0.1 or ::1, or set ACCESS_KEYS (npm run keys makes one).`,
  );
}

let isNew = false;
const build = await built(configPath, config, () => {
  isNew = true;
  console.log("Building the Worker and its pages: their sources are new here. This takes some seconds.");
}).catch((error: Error) => stop(error.message));
if (!isNew)
  console.log(`The Worker is as built at ${build.at.toLocaleString()}: nothing that it is made of has changed.`);

const assets = workerOptions.assets && build.assets ? { ...workerOptions.assets, directory: build.assets } : undefined;
const message = await assembled({
  name: config.name,
  options: { ...workerOptions, bindings, ...(assets ? { assets } : {}) },
  built: build,
  state: asked.state,
  address: listenAddress(address),
});
const prepared: Prepared = { keys: Boolean(bindings.ACCESS_KEYS), model: Boolean(bindings.ANTHROPIC_API_KEY) };
writeSync(PREPARED, JSON.stringify(prepared));
closeSync(PREPARED);
createWriteStream("", { fd: CONFIGURATION }).end(message);

/** What wrangler reads of a configuration, and what it makes of it: the vars of .dev.vars are in that. */
function read(path: string) {
  try {
    const config = readConfig({ config: path }) as BuildConfig & { name: string };
    return { config, workerOptions: optionsOf(path).workerOptions };
  } catch (error) {
    stop(`${path} can't be used: ${error instanceof Error ? error.message : error}`);
  }
}

function stop(message: string): never {
  console.error(message);
  process.exit(2);
}
