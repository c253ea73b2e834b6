/**
 * The files of an instance: its own, or those of the instance that it shares them with; kept where they outlive it when it has
 * ended, and deleted with it.
 */
import type { Config } from "../contracts/config.ts";
import { instanceOf } from "../contracts/stubs.ts";
import type { WorkspaceApi } from "../contracts/workspace.ts";
import { workspaceOf } from "../contracts/workspace-rpc.ts";
import { describe, type Log } from "../platform/log.ts";
import { Keeper } from "../workspace/keep.ts";
import { prefixOf } from "../workspace/keys.ts";
import { Workspace } from "../workspace/workspace.ts";
import { hasEnded } from "./lifecycle/termination.ts";
import { auditCall } from "./store/audit-record.ts";

export class InstanceFiles {
  readonly #storage: DurableObjectStorage;
  readonly #env: Env;
  readonly #config: Config;
  readonly #tenant: string;
  readonly #log: Log;
  /** Absent without a bucket: then files stay in the object. */
  readonly #keeper: Keeper | null;
  #own: Workspace | undefined;
  #keeping: Promise<void> | undefined;
  #erasing = false;

  constructor(parts: {
    storage: DurableObjectStorage;
    env: Env;
    config: Config;
    tenant: string;
    instanceId: string;
    log: Log;
  }) {
    const { storage, env, config, tenant, instanceId, log } = parts;
    this.#storage = storage;
    this.#env = env;
    this.#config = config;
    this.#tenant = tenant;
    this.#log = log;
    const prefix = () => prefixOf(config.workspacePrefix, tenant, instanceId);
    this.#keeper = env.FILES ? new Keeper(storage, env.FILES, prefix()) : null;
  }

  /** Where the instance works. `owner`: the instance whose files it shares; null: its own. */
  workspace(owner: string | null): WorkspaceApi {
    return owner === null ? this.#ownFiles() : workspaceOf(instanceOf(this.#env, this.#tenant, owner));
  }

  /** Whether files outlive the object at all. */
  get outliveObject(): boolean {
    return this.#keeper !== null;
  }

  /** Whether the instance has ended and some of its files are still only here. */
  get needsUpload(): boolean {
    return this.#keeper?.pending === true && hasEnded(this.#storage.sql);
  }

  /** Whether some are just being kept or deleted. */
  get isUploading(): boolean {
    return this.#keeping !== undefined || this.#erasing;
  }

  get isErasing(): boolean {
    return this.#erasing;
  }

  /** Uploads the files of an instance that has ended, so that they outlive its object. Never rejects; `needsUpload` says whether any are left. */
  async keep(): Promise<void> {
    this.#keeping ??= this.#ownFiles()
      .keep()
      .finally(() => {
        this.#keeping = undefined;
      });
    try {
      await this.#keeping;
    } catch (error) {
      this.#log.warning("keep.failed", { error: describe(error) });
    }
  }

  /** Deletes what was kept, and with `andRows` whatever else there is. Returns how many objects it was. */
  async erase(andRows: () => Promise<void>): Promise<number> {
    this.#erasing = true;
    try {
      // An upload that is under way would arrive after the deletion.
      await this.#keeping?.catch(() => undefined);
      const objects = (await this.#keeper?.erase()) ?? 0;
      await andRows();
      return objects;
    } finally {
      this.#erasing = false;
    }
  }

  /** The object is empty: whatever is asked next begins anew. */
  forget(): void {
    this.#own = undefined;
  }

  #ownFiles(): Workspace {
    this.#own ??= new Workspace(this.#storage, this.#config.workspace, this.#keeper, (tx, call) =>
      auditCall(tx, call, Date.now()),
    );
    return this.#own;
  }
}
