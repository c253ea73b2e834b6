/**
 * `npm run engine:shell`: makes `src/sandbox/shell/just-bash.js` from the package in node_modules: the same interpreter with a meter
 * in it, as `meter-quickjs.ts` does it for programs.
 *
 * A shell's step is JavaScript that runs to its end: no timer and no signal gets in between, and the clock stands still. So each
 * round of a loop and each call of a function takes a unit; when none is left the host is asked for more, or throws. The
 * interpreter becomes a function that makes one, so that each script's meter is a variable of its own.
 *
 * `--check` writes nothing and ends with 1 when the file is not what it would make.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, minifySync, type Rolldown } from "vite";
import { instrumented, PRELUDE } from "./meter-shell/instrument.ts";

const FILE = "src/sandbox/shell/just-bash.js";

const beside = (name: string) => fileURLToPath(new URL(`./meter-shell/${name}.ts`, import.meta.url));

/** The package and what it imports, in one module that imports only what the runtime has. */
async function bundled(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "warn",
    resolve: { alias: { minimatch: beside("minimatch"), turndown: beside("turndown") } },
    build: {
      write: false,
      minify: false,
      target: "esnext",
      lib: { entry: beside("entry"), formats: ["es"], fileName: "shell" },
      rolldownOptions: { external: [/^node:/], output: { codeSplitting: false, comments: false } },
    },
  });
  const [output] = (Array.isArray(built) ? built : [built]) as Rolldown.RolldownOutput[];
  const [chunk, ...others] = output?.output ?? [];
  if (!chunk || others.length > 0) throw new Error("The shell is not one module.");
  return minifySync("shell.js", chunk.code, { module: true }).code;
}

/** The module's body as a function: its imports stay outside, its exports are what the function returns. */
function asFunction(code: string): string {
  const imports: string[] = [];
  const body = code
    .replace(/^import\s*\{[^}]*\}\s*from\s*"node:[^"]+";?/gm, (statement) => {
      imports.push(statement);
      return "";
    })
    .trim();
  const exported = /export\s*\{([^}]*)\};?$/.exec(body);
  if (!exported || /^import\b/m.test(body)) throw new Error("The shell's module has another form than is known here.");
  const members = (exported[1] ?? "").split(",").map((one) => {
    const [local = "", name = local] = one.trim().split(/\s+as\s+/);
    return `${name}: ${local}`;
  });
  return `${imports.join("\n")}
export function createShell(host) {
${PRELUDE}
${body.slice(0, exported.index)}
return { ${members.join(", ")}, used: $used, reset: $reset };
}
`;
}

const made = `// Made from just-bash by \`npm run engine:shell\`: see scripts/meter-shell.ts. Licence: Apache-2.0.\n${asFunction(instrumented(await bundled()))}`;
if (!process.argv.includes("--check")) {
  writeFileSync(FILE, made);
  console.log(`${FILE}: ${made.length} bytes`);
} else if (readFileSync(FILE, "utf8") !== made) {
  console.error(`${FILE} is not made from the package that is installed. Run npm run engine:shell.`);
  process.exit(1);
}
