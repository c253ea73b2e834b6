/**
 * The README's programs, as they stand there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const PROGRAMS: readonly string[] = [
  ...readFileSync(join(ROOT, "README.md"), "utf8").matchAll(/```ts\n(import [\s\S]*?)```/g),
].map(([, program = ""]) => program);

/** What each of them says, whichever it is, when the simulator answers. */
export const SAID = /simulated reply|completed/;

export interface Target {
  url: string;
  accessKey?: string;
}

/** A program with the server it is for, and nothing else changed. */
export function programFor(program: string, target: Target): string {
  const pointed = program.replace("new Madrox()", `new Madrox(${JSON.stringify(target)})`);
  if (pointed === program) throw new Error("The program makes no new Madrox().");
  return pointed;
}

/** The same as a module whose \`run()\` gives what the program says, for places without a console to read. */
export function moduleFor(program: string, target: Target, client = "madrox/client"): string {
  const [imports = "", ...body] = programFor(program, target).split("\n");
  return `${imports.replace("madrox/client", client)}
export async function run() {
  const said = [];
  const console = { log: (...words) => said.push(words.join(" ")), error: (...words) => said.push(words.join(" ")) };
  const process = { stdout: { write: (text) => said.push(text) } };
  ${body.join("\n  ")}
  return said.join("");
}
`;
}
