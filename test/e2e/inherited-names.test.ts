/** Names that every JavaScript object inherits are names like others where a script takes them from outside. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { addressOf, listenAddress, reachableIp, urlOf } from "../../scripts/server/address.ts";
import { parseAccessKeys } from "../../src/auth/keys.ts";

const NAMES = ["constructor", "toString", "valueOf", "hasOwnProperty"];

it.each(NAMES)("a key is made for the tenant %s, and a second one beside it", (tenant) => {
  const folder = mkdtempSync(join(tmpdir(), "madrox-keys-"));
  const keysAfter = (before: string) => {
    const said = execFileSync(process.execPath, [resolve("scripts/keys.ts"), tenant], {
      cwd: folder,
      env: { ...process.env, ACCESS_KEYS: before },
      encoding: "utf8",
    });
    return /ACCESS_KEYS='(.*)'/.exec(said)?.[1] ?? expect.fail(said);
  };
  try {
    const one = keysAfter("");
    const two = keysAfter(one);
    for (const [text, count] of [
      [one, 1],
      [two, 2],
    ] as const) {
      const read = parseAccessKeys(text);
      expect(read.ok && read.keys.map((key) => key.tenant)).toEqual(Array.from({ length: count }, () => tenant));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.each(NAMES)("a server listens on the host %s if the network has it, and not on loopback", (host) => {
  const address = addressOf({ ORCHESTRATOR_HOST: host });
  if (typeof address === "string") return expect.fail(address);
  expect(address).toMatchObject({ ip: host, loopback: false });
  expect([listenAddress(address), urlOf(address), reachableIp(address)]).toEqual([
    `${host}:8001`,
    `http://${host}:8001`,
    host,
  ]);
});
