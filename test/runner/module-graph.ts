/** A guard: what a test file loads stays well below the largest message that workerd takes, which is 32 MiB. */
import { statSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestModule, Vitest } from "vitest/node";

const LIMIT_MB = 20;
const SHOWN = 15;

interface LoadedModule {
  name: string;
  bytes: number;
}

/** The modules that Vitest sends to the worker of a test file, with their sizes as sent, source maps included. */
function loadedBy(file: TestModule): LoadedModule[] {
  const { moduleGraph } = file.project.vite.environments.ssr ?? {};
  const queue = [...(moduleGraph?.getModulesByFile(file.moduleId) ?? [])];
  const seen = new Set(queue);
  const loaded: LoadedModule[] = [];
  for (const node of queue) {
    for (const imported of node.importedModules) {
      if (seen.has(imported)) continue;
      seen.add(imported);
      queue.push(imported);
    }
    const sent = node.transformResult as { code: string; __vitestTmp?: string } | null;
    if (!sent || node.id === null) continue;
    const bytes = sent.__vitestTmp === undefined ? Buffer.byteLength(sent.code) : statSync(sent.__vitestTmp).size;
    loaded.push({ name: relative(file.project.config.root, node.id), bytes });
  }
  return loaded;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Fails the run when the modules of a test file exceed the limit, and names the largest of them. */
export class ModuleGraphGuard implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest) {
    this.#vitest = vitest;
  }

  onTestRunEnd(files: readonly TestModule[]) {
    const sized = files.map((file) => {
      const modules = loadedBy(file).sort((a, b) => b.bytes - a.bytes);
      return { file, modules, bytes: modules.reduce((sum, { bytes }) => sum + bytes, 0) };
    });
    const largest = sized.sort((a, b) => b.bytes - a.bytes)[0];
    if (!largest) return;
    const what = `${largest.file.relativeModuleId} loads ${megabytes(largest.bytes)} in ${largest.modules.length} modules`;
    if (largest.bytes <= LIMIT_MB * 1e6) {
      this.#vitest?.logger.log(`Largest module graph: ${what} (limit: ${LIMIT_MB} MB).`);
      return;
    }
    const list = largest.modules.slice(0, SHOWN).map(
      ({ name, bytes }) =>
        `${Math.round(bytes / 1e3)
          .toString()
          .padStart(8)} KB  ${name}`,
    );
    process.exitCode = 1;
    this.#vitest?.logger.error(
      [
        `${what}, more than ${LIMIT_MB} MB: above 32 MiB workerd refuses to load it. Bundle what is large, or load it`,
        "on first use (test/runner/dependencies.ts). The largest:",
        ...list,
      ].join("\n"),
    );
  }
}
