/**
 * Built Workers in a bare `workerd serve`: the runtime alone, without the proxies and the watching of `wrangler dev`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import type { Readable } from "node:stream";
import { unstable_readConfig as readConfig } from "wrangler";
import { bundle } from "../../scripts/server/build.ts";
import { runtime } from "../../scripts/server/wrangler-parts.ts";

/** What is used of a wrangler configuration. wrangler's own type needs packages that it doesn't bring. */
interface WorkerConfig {
  main?: string;
  compatibility_date?: string;
  compatibility_flags: string[];
  vars: Record<string, unknown>;
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { new_sqlite_classes?: string[] }[];
}

export interface Service {
  name: string;
  /** A wrangler configuration: what is built, with which date, flags, vars and Durable Objects. */
  config: string;
  /** Text bindings; they go before the configuration's vars. */
  vars: Readonly<Record<string, string>>;
}

export interface Runtime {
  version: string;
  /** When the process was started, as `performance.now()`. */
  startedAt: number;
  /** Host and port of the inspector. */
  inspector: string;
  /** Where a service listens. */
  url(service: string): string;
  /** The folder in which a service's objects lie: one folder a class, with a database each, and one of their alarms. */
  disk(service: string): string;
  /** The newest lines that the Workers and the runtime wrote. */
  log(): string;
  /** Memory of the process that is in use, in MiB. Linux only: NaN elsewhere. */
  residentMiB(): number;
  stop(): Promise<void>;
}

/** Builds the services and serves them from one process, each on a free port of 127.0.0.1 with an empty disk. */
export async function serveBuilt(services: readonly Service[]): Promise<Runtime> {
  const folder = mkdtempSync(join(tmpdir(), "madrox-bench-"));
  // For an end without `stop`: the runtime may still be writing then, hence the retries.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  try {
    const parts = await Promise.all(services.map((service) => workerOf(service, folder)));
    const config = join(folder, "config.capnp");
    writeFileSync(config, configOf(services, parts));
    return await start(config, folder, services);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function start(config: string, folder: string, services: readonly Service[]): Promise<Runtime> {
  const { program, version } = runtime();
  const logFile = join(folder, "log.txt");
  const log = openSync(logFile, "a");
  const startedAt = performance.now();
  const child = spawn(program, ["serve", "--control-fd=3", "--inspector-addr=127.0.0.1:0", config], {
    // Disks are named by paths from here.
    cwd: folder,
    stdio: ["ignore", log, log, "pipe"],
  });
  const end = () => void child.kill("SIGKILL");
  process.once("exit", end);
  const readLog = () => readFileSync(logFile, "utf8").slice(-4000);
  try {
    const ports = await listening(child, services.length + 1, readLog);
    return {
      version,
      startedAt,
      inspector: `127.0.0.1:${ports.get(INSPECTOR)}`,
      url: (service) => `http://127.0.0.1:${ports.get(service)}`,
      disk: (service) => join(folder, `${service}-disk`),
      log: readLog,
      residentMiB: () => residentMiB(child.pid),
      async stop() {
        const gone = new Promise<void>((done) => child.once("exit", () => done()));
        end();
        await gone;
        process.off("exit", end);
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}

function residentMiB(pid: number | undefined): number {
  if (process.platform !== "linux") return Number.NaN;
  const kib = readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB$/m)?.[1];
  return Number(kib) / 1024;
}

/** The name under which the inspector's port is kept. No service has it. */
const INSPECTOR = "(inspector)";

/** The port of each socket, as the runtime reports it: `{"event":"listen","socket":"product","port":40123}`. */
function listening(child: ChildProcess, count: number, readLog: () => string): Promise<Map<string, number>> {
  return new Promise((ready, failed) => {
    const ports = new Map<string, number>();
    let text = "";
    const ended = (code: number | null) => failed(new Error(`workerd ended with ${code}:\n${readLog()}`));
    child.once("exit", ended);
    child.once("error", failed);
    (child.stdio[3] as Readable).on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line) as { event: string; socket: string; port: number };
        if (message.event === "listen") ports.set(message.socket, message.port);
        if (message.event === "listen-inspector") ports.set(INSPECTOR, message.port);
      }
      if (ports.size < count) return;
      child.off("exit", ended);
      ready(ports);
    });
  });
}

/** The service's Worker in the text format of workerd.capnp. */
async function workerOf({ name, config, vars }: Service, folder: string): Promise<string> {
  const {
    compatibility_date,
    compatibility_flags,
    durable_objects,
    main,
    migrations,
    vars: own,
  } = readConfig({ config }) as WorkerConfig;
  if (!compatibility_date || !main) throw new Error(`${config} has no main or no compatibility_date.`);
  const built = join(folder, name);
  await bundle(config, built);
  mkdirSync(join(folder, `${name}-disk`));

  const sqlite = new Set(migrations.flatMap((migration) => migration.new_sqlite_classes ?? []));
  const texts = Object.entries({ ...own, ...vars }).map(
    ([key, value]) => `(name = ${quoted(key)}, text = ${quoted(String(value))})`,
  );
  const objects = durable_objects.bindings.map(
    (binding) => `(name = ${quoted(binding.name)}, durableObjectNamespace = ${quoted(binding.class_name)})`,
  );
  const namespaces = durable_objects.bindings.map(
    ({ class_name }) =>
      `(className = ${quoted(class_name)}, uniqueKey = ${quoted(`${name}-${class_name}`)}, enableSql = ${sqlite.has(class_name)})`,
  );
  return `(
    modules = [${modulesIn(built, name, `${basename(main, extname(main))}.js`).join(", ")}],
    compatibilityDate = ${quoted(compatibility_date)},
    compatibilityFlags = [${compatibility_flags.map(quoted).join(", ")}],
    bindings = [${[...texts, ...objects].join(",\n      ")}],
    durableObjectNamespaces = [${namespaces.join(", ")}],
    durableObjectStorage = (localDisk = ${quoted(`${name}-disk`)}),
    globalOutbound = "loopback",
  )`;
}

const MODULE_TYPES: Readonly<Record<string, string>> = {
  ".js": "esModule",
  ".mjs": "esModule",
  ".wasm": "wasm",
  ".txt": "text",
  ".html": "text",
  ".sql": "text",
  ".bin": "data",
};

/** The entry module first, as workerd wants it. Source maps and wrangler's note about the folder are no modules. */
function modulesIn(built: string, name: string, entry: string): string[] {
  const files = readdirSync(built, { recursive: true, encoding: "utf8" }).filter(
    (file) => extname(file) in MODULE_TYPES,
  );
  if (!files.includes(entry)) throw new Error(`wrangler built no ${entry}, but ${files.join(", ")}.`);
  return [entry, ...files.filter((file) => file !== entry)].map(
    (file) => `(name = ${quoted(file)}, ${MODULE_TYPES[extname(file)]} = embed ${quoted(join(name, file))})`,
  );
}

/** Workers may call this machine only: the model's stand-in listens there, and nothing else is to be reached. */
function configOf(services: readonly Service[], workers: readonly string[]): string {
  const entries = services.flatMap(({ name }, i) => [
    `(name = ${quoted(name)}, worker = ${workers[i]})`,
    `(name = ${quoted(`${name}-disk`)}, disk = (path = ${quoted(`${name}-disk`)}, writable = true))`,
  ]);
  const sockets = services.map(
    ({ name }) => `(name = ${quoted(name)}, address = "127.0.0.1:0", http = (), service = ${quoted(name)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "loopback", network = (allow = ["local"])),
    ${entries.join(",\n    ")}
  ],
  sockets = [
    ${sockets.join(",\n    ")}
  ],
);
`;
}

/** JSON's escapes are C's, which capnp takes, as long as the text is ASCII. */
function quoted(text: string): string {
  if (!/^[\x20-\x7e\n\t]*$/.test(text)) throw new Error(`Only ASCII can be written into the configuration: ${text}`);
  return JSON.stringify(text);
}
