/**
 * Where the server listens: ORCHESTRATOR_HOST and ORCHESTRATOR_PORT.
 */
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

export interface Address {
  /** As it was given. */
  host: string;
  /** What is listened on: an IP address, or a name that the system resolves. */
  ip: string;
  port: number;
  /** Whether nobody but this machine can reach it. */
  loopback: boolean;
}

const LOOPBACK: ReadonlyMap<string, string> = new Map([
  ["localhost", "127.0.0.1"],
  ["127.0.0.1", "127.0.0.1"],
  ["::1", "::1"],
]);
/** All addresses of the machine, and how it reaches itself there. */
const WILDCARDS: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
]);

/** The address that these settings give, or a sentence about what is wrong with them. */
export function addressOf(settings: Readonly<Record<string, string | undefined>>): Address | string {
  const host = settings.ORCHESTRATOR_HOST || "localhost";
  const port = Number(settings.ORCHESTRATOR_PORT || "8001");
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    return `ORCHESTRATOR_PORT is ${settings.ORCHESTRATOR_PORT}, but a port is a number from 1 to 65535.`;
  }
  return { host, ip: LOOPBACK.get(host) ?? host, port, loopback: LOOPBACK.has(host) };
}

/** `127.0.0.1:8001`, `[::1]:8001`. */
export function listenAddress({ ip, port }: Address): string {
  return `${bracketed(ip)}:${port}`;
}

/** The address for people and programs on this machine. */
export function urlOf({ host, port }: Address): string {
  return `http://${WILDCARDS.has(host) ? "localhost" : bracketed(host)}:${port}`;
}

/** What a program on this machine connects to. */
export function reachableIp({ ip }: Address): string {
  return WILDCARDS.get(ip) ?? ip;
}

/** A server that has just been ended may still hold its port for a moment. */
const PATIENCE_MS = 1_000;
const PAUSE_MS = 50;

/** Null when the address is free, else a sentence about what is wrong with it. */
export async function problemWith(address: Address): Promise<string | null> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await pause(PAUSE_MS)) {
    const problem = await tried(address);
    if (problem === null || Date.now() > deadline) return problem;
  }
}

function tried({ host, ip, port }: Address): Promise<string | null> {
  return new Promise((known) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      known(
        error.code === "EADDRINUSE"
          ? `Port ${port} is taken, perhaps by another Madrox. Stop that one, or set ORCHESTRATOR_PORT to another port.`
          : `The server can't listen on ${host}:${port}: ${error.message}`,
      );
    });
    probe.listen(port, ip, () => probe.close(() => known(null)));
  });
}

function bracketed(ip: string): string {
  return ip.includes(":") ? `[${ip}]` : ip;
}
