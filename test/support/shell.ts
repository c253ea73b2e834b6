/** Scripts in a shell over a workspace of its own, without an instance around it. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { newInstanceId } from "../../src/platform/ids.ts";
import { PosixFiles } from "../../src/sandbox/posix-files.ts";
import { runShell, type ShellOutcome, type ShellRequest } from "../../src/sandbox/shell/shell.ts";
import { Workspace } from "../../src/workspace/workspace.ts";

const LIMITS = { bytes: 100_000_000, files: 10_000, fileBytes: 20_000_000 };

export class TestShell {
  readonly #object = env.INSTANCE.getByName(`default/${newInstanceId()}`);

  /** Paths are relative to the workspace. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    await runInDurableObject(this.#object, async (_instance, { storage }) => {
      const posix = new PosixFiles(new Workspace(storage, LIMITS));
      for (const [path, content] of Object.entries(files)) await posix.write(path, new TextEncoder().encode(content));
    });
  }

  /** The script is stopped when `stopped` says so: its signal and its timers have to be the object's own. */
  async run(script: string, request: Partial<ShellRequest> = {}, stopped = () => false): Promise<ShellOutcome> {
    return runInDurableObject(this.#object, (_instance, { storage }) => {
      const abort = new AbortController();
      const look = setInterval(() => stopped() && abort.abort(), 20);
      abort.signal.addEventListener("abort", () => clearInterval(look));
      return runShell(new PosixFiles(new Workspace(storage, LIMITS)), {
        tenant: "default",
        script,
        env: {},
        timeoutMs: 30_000,
        signal: abort.signal,
        ...request,
      }).finally(() => clearInterval(look));
    });
  }
}
