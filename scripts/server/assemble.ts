/**
 * What the runtime is started with: the built Worker, everything that its wrangler configuration binds, and one socket, which
 * leads to the listener (front.ts). Miniflare's own server would put an entry of its own before the Worker, with a port that
 * anybody on the machine can reach. So only its parts are used: each of its plugins says what it makes of a configuration, as
 * bindings of the Worker and as services behind them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Config, PluginServicesOptions } from "miniflare";
import type { Unstable_MiniflareWorkerOptions } from "wrangler";
import { miniflare, miniflareFile } from "./wrangler-parts.ts";

export interface Served {
  /** The Worker's name. It is part of the names of its objects' databases. */
  name: string;
  /** What wrangler makes of the configuration. */
  options: Unstable_MiniflareWorkerOptions["workerOptions"];
  /** The folder with what a deploy would upload, and the name of the first module there. */
  built: { folder: string; entry: string };
  /** The folder of what is stored: the one that `wrangler dev` uses. */
  state: string;
  /** Where the listener listens, as workerd writes addresses: `127.0.0.1:8001`, `[::1]:8001`. */
  address: string;
}

type Service = NonNullable<Config["services"]>[number];
type Extension = NonNullable<Config["extensions"]>[number];

/** The socket of the listener: the only one. */
export const SOCKET = "front";

/** The configuration as `workerd serve --binary` reads it. It has the secrets in it: it is for a pipe, not for a file. */
export async function assembled({ name, options, built, state, address }: Served): Promise<Buffer> {
  const { convertV4MiniflareOptions, MiniflareOptionsSchema, NoOpLog, PLUGIN_ENTRIES, serializeConfig, ...parts } =
    miniflare();
  const { workers, ...sharedOptions } = MiniflareOptionsSchema.parse(
    convertV4MiniflareOptions({
      resourcePersistencePath: join(state, "v3"),
      isolatedResourcePersistencePath: join(state, "v3"),
      workers: [{ ...options, name, modules: modulesOf(built, options), modulesRoot: built.folder }],
    }),
  );
  const [worker] = workers;
  if (!worker) throw new Error("Miniflare has lost the Worker.");
  const user = `core:user:${name}`;
  const classes = parts.getExportsOfType(worker.config, "durable-object").map(
    ([className, { storage, unsafeUniqueKey, unsafePreventEviction, container }]) =>
      // Miniflare's own reading of an export.
      [className, { enableSql: storage === "sqlite", unsafeUniqueKey, unsafePreventEviction, container }] as const,
  );

  const extensions: Extension[] = [{ modules: STAND_INS_IMPORT }];
  const bindings: PluginServicesOptions["workerBindings"] = [];
  for (const [, plugin] of PLUGIN_ENTRIES) {
    bindings.push(...((await plugin.getBindings(worker, sharedOptions, 0)) ?? []));
    extensions.push(...((await plugin.getExtensions?.({ options: [worker] })) ?? []));
  }
  const asked = {
    log: new NoOpLog(),
    options: worker,
    sharedOptions,
    workerBindings: bindings,
    workerIndex: 0,
    additionalModules: [],
    tmpPath: join(state, "tmp"),
    workerNames: [name],
    loopbackHost: "127.0.0.1",
    loopbackPort: 0,
    durableObjectClassNames: new Map([[user, new Map(classes)]]),
    unsafeEphemeralDurableObjects: false,
    workflowExporters: new Map(),
    queueProducers: new Map(),
    queueConsumers: new Map(),
    devRegistryEnabled: false,
    containerPrivilegesCache: { setEngine: () => undefined },
    artifactsEventSubscriptions: [],
    // Nothing of what Madrox binds asks for the rest: containers, databases behind Hyperdrive, Artifacts.
  } as unknown as PluginServicesOptions;
  const services = new Map<string, Service>();
  const add = (service: Service) => {
    if (service.name === undefined) throw new Error("A service of Miniflare's has no name.");
    if (!services.has(service.name)) services.set(service.name, service);
  };
  for (const [, plugin] of PLUGIN_ENTRIES) {
    const made = (await plugin.getServices(asked)) ?? [];
    for (const service of Array.isArray(made) ? made : made.services) add(service);
    if (!Array.isArray(made)) extensions.push(...made.extensions);
  }
  add(INTERNET);
  add(LOOPBACK);
  const router = `assets:router:${name}`;
  add(front(services.has(router) ? router : user));

  return serializeConfig({
    services: [...services.values()],
    sockets: [{ name: SOCKET, address, service: { name: FRONT }, http: {} }],
    extensions,
  });
}

/** What the code of Miniflare's stand-ins imports. */
const STAND_INS_IMPORT = Object.entries({ "miniflare:shared": "index", "miniflare:zod": "zod" }).map(
  ([name, file]) => ({
    name,
    esModule: readFileSync(miniflareFile(`workers/shared/${file}.worker.js`), "utf8"),
  }),
);

const FRONT = "front";

/** The listener, and what is behind it: the router, where wrangler.toml has pages served past the Worker, or the Worker. */
function front(next: string): Service {
  const source = readFileSync(new URL("./front.ts", import.meta.url), "utf8");
  return {
    name: FRONT,
    worker: {
      modules: [{ name: "front.js", esModule: stripTypeScriptTypes(source) }],
      compatibilityDate: "2026-11-01",
      bindings: [{ name: "NEXT", service: { name: next } }],
    },
  };
}

/** As Miniflare has it: private addresses too, because models, webhooks and MCP servers may be on this machine. */
const INTERNET: Service = {
  name: "internet",
  network: {
    allow: ["public", "private", "240.0.0.0/4"],
    deny: [],
    tlsOptions: { trustBrowserCas: true, trustedCertificates: extraCertificates() },
  },
};

/** Certificates of NODE_EXTRA_CA_CERTS, as wrangler takes them. */
function extraCertificates(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  const text = file ? readFileSync(file, "utf8") : "";
  return text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
}

/** Where Miniflare's stand-ins report their own faults: to its server, if there were one. */
const LOOPBACK: Service = {
  name: "loopback",
  worker: {
    modules: [
      {
        name: "loopback.js",
        esModule: `export default {
          async fetch(request) {
            console.error(new URL(request.url).pathname, await request.text());
            return new Response(null, { status: 204 });
          },
        };`,
      },
    ],
    compatibilityDate: "2026-11-01",
  },
};

/** The modules as wrangler built them, the entry first; what no rule of the configuration names is no module. */
function modulesOf({ folder, entry }: Served["built"], { modulesRules = [] }: Served["options"]) {
  const { compileModuleRules, testRegExps } = miniflare();
  const rules = compileModuleRules(modulesRules);
  const typeOf = (file: string) =>
    file.endsWith(".js") ? "ESModule" : rules.find(({ include }) => testRegExps(include, file))?.type;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file !== entry);
  return [entry, ...files].flatMap((file) => {
    const type = typeOf(file);
    return type ? [{ type, path: join(folder, file) }] : [];
  });
}
