/**
 * `npm start`: the server on this machine, at ORCHESTRATOR_HOST and ORCHESTRATOR_PORT, with the settings of the
 * environment. It is `wrangler dev` from inside: the command line could take neither from the environment, and a key given
 * on it could be read by every user of the machine.
 */
import { createServer } from "node:net";
import { unstable_startWorker } from "wrangler";
import { ACCESS_VARIABLES, CONFIG_VARIABLES, SECRETS } from "../src/platform/variables.ts";
import { settings } from "./settings.ts";

const LOOPBACK: Record<string, string> = { localhost: "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1" };

const { ACCESS_KEYS, ANTHROPIC_API_KEY } = settings();
const host = process.env.ORCHESTRATOR_HOST || "localhost";
const port = Number(process.env.ORCHESTRATOR_PORT || "8001");
if (LOOPBACK[host] === undefined && !ACCESS_KEYS) {
  console.error(
    `ORCHESTRATOR_HOST is ${host}, but without ACCESS_KEYS this server only serves this machine: use localhost, 127.0.0.1 or ::1, or set ACCESS_KEYS (npm run keys makes one).`,
  );
  process.exit(2);
}
const ip = LOOPBACK[host] ?? host;
if (!Number.isInteger(port) || port < 1 || port > 65535) {
  console.error(`ORCHESTRATOR_PORT is ${process.env.ORCHESTRATOR_PORT}, but a port is a number from 1 to 65535.`);
  process.exit(2);
}

/** Wrangler waits for ever on a port that somebody else has. */
await new Promise<void>((free) => {
  const probe = createServer();
  probe.once("error", (error: NodeJS.ErrnoException) => {
    console.error(
      error.code === "EADDRINUSE"
        ? `Port ${port} is taken, perhaps by another Madrox. Stop that one, or set ORCHESTRATOR_PORT to another port.`
        : `The server can't listen on ${host}:${port}: ${error.message}`,
    );
    process.exit(2);
  });
  probe.listen(port, ip, () => probe.close(() => free()));
});

/** What the environment says. Whatever .dev.vars says of the same name gives way, also to an empty value: that is none. */
const given = [...CONFIG_VARIABLES, ...ACCESS_VARIABLES].flatMap((name) => {
  const value = process.env[name];
  const type = SECRETS.has(name) ? ("secret_text" as const) : ("plain_text" as const);
  return value !== undefined ? [[name, { type, value }] as const] : [];
});

const worker = await unstable_startWorker({
  config: process.env.MADROX_CONFIG || "wrangler.toml",
  bindings: Object.fromEntries(given),
  dev: {
    server: { hostname: ip, port },
    inspector: false,
    watch: process.env.MADROX_WATCH !== "false",
    ...(process.env.MADROX_STATE ? { persist: process.env.MADROX_STATE } : {}),
  },
});
await worker.ready;
const url = String(await worker.url).replace(/\/$/, "");
const health = (await fetch(`${url}/health`).then((response) => response.json())) as { message?: string };
if (health.message) {
  console.error(health.message);
  await worker.dispose();
  process.exit(2);
}
console.log(`
Madrox is ready.
  Page   ${url}/dashboard
  MCP    ${url}/mcp
  REST   ${url}/tools
  Access ${ACCESS_KEYS ? "with the keys of ACCESS_KEYS" : "from this machine, without a key"}
  Model  ${!ANTHROPIC_API_KEY ? "the built-in simulator (no ANTHROPIC_API_KEY is set; nothing is spent)" : "Claude, with your ANTHROPIC_API_KEY"}
`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    await worker.dispose();
    process.exit(0);
  });
}
