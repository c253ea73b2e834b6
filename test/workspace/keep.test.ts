/**
 * The files of instances that have ended: kept in R2 once and whole, wherever it broke off.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { Buffer } from "node:buffer";
import { unzipSync } from "fflate";
import { beforeEach, describe, expect, it } from "vitest";
import { MAX_TENANT_NAME } from "../../src/platform/tenant-name.ts";
import { Keeper, PART_BYTES } from "../../src/workspace/keep.ts";
import { keyOf, prefixOf } from "../../src/workspace/keys.ts";
import { Workspace } from "../../src/workspace/workspace.ts";
import { request, send, spawn, status, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";
import { use } from "../support/tool-calls.ts";
import {
  BUCKET,
  bytesOf,
  failure,
  files,
  inObject,
  keysOf,
  LIMITS,
  PREFIX,
  read,
  terminate,
  write,
} from "../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("the files of an instance that has ended", () => {
  it("are kept under its prefix, and read through the same calls", async () => {
    const id = await spawn();
    const big = new Uint8Array(1_200_000).map((_, i) => (i * 7) % 251);
    await use(id, { name: "write_file", input: { path: "a/ü.txt", content: "Grüße" } });
    await request(`/instances/${id}/files/big.bin`, { method: "PUT", body: big });
    await request(`/instances/${id}/files/empty`, { method: "PUT" });
    const before = await files(id);
    const zip = async () => new Uint8Array(await (await request(`/instances/${id}/workspace.zip`)).arrayBuffer());
    const zipped = unzipSync(await zip());
    await terminate(id);
    await until(async () => (await keysOf(id)).length === 3);
    await until(() =>
      runInDurableObject(objectOf(id), (_instance, { storage }) => {
        const { n } = storage.sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM vfs_blob_bytes").one();
        return n === 0;
      }),
    );
    expect(await keysOf(id)).toEqual(["a/ü.txt", "big.bin", "empty"]);
    expect((await status(id)).workspace_prefix).toBe(`${PREFIX}${id}/`);
    await evictDurableObject(objectOf(id));
    expect(await files(id)).toEqual(before);
    expect((await read(id, "a/ü.txt")).content).toBe("Grüße");
    expect(await read(id, "big.bin", { offset: 1_199_998 })).toMatchObject({ length: 2, size: 1_200_000 });
    const got = await request(`/instances/${id}/files/big.bin`, { headers: { range: "bytes=600000-1100000" } });
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(big.subarray(600_000, 1_100_001));
    expect(unzipSync(await zip())).toEqual(zipped);
    expect(await write(id, "late.txt", "x")).toMatchObject({ success: false, error: "conflict" });
    expect((await request(`/instances/${id}/files/big.bin`, { method: "DELETE" })).status).toBe(409);
  });

  it("can have as long a path as R2 takes below the longest prefix, and no longer one is written", async () => {
    const id = await spawn();
    await send(id, "hello");
    const prefix = prefixOf("p".repeat(64), "t".repeat(MAX_TENANT_NAME), id);
    const room = 1_024 - prefix.length;
    const longest = `${`${"d".repeat(200)}/`.repeat(4)}${"f".repeat(room - 804)}`;
    await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
      const workspace = new Workspace(storage, LIMITS, new Keeper(storage, BUCKET, prefix));
      await workspace.write(longest, bytesOf("whole"), {});
      await workspace.write("short", bytesOf("x"), {});
      const tooLong = `${longest}x`;
      for (const change of [
        () => workspace.write(tooLong, bytesOf("x"), {}),
        () => workspace.upload(tooLong, new Blob(["x"]).stream(), {}),
        () => workspace.makeFolder(tooLong, {}),
        () => workspace.move("short", tooLong, { overwrite: true }),
      ])
        expect(await failure(change())).toMatchObject({ code: "invalid_input", details: { limit_bytes: room } });
      await workspace.keep();
    });
    expect(await (await BUCKET.get(prefix + longest))?.text()).toBe("whole");
  });

  it("are all there, once, wherever keeping them broke off", async () => {
    const contents = { "a.txt": "one", "b/c.bin": "x".repeat(600_000), "d/e/f": "" };
    for (const when of ["before", "after"] as const) {
      for (let step = 1; step <= 4; step++) {
        const id = await spawn();
        await send(id, "hello");
        await inObject(id, async (workspace) => {
          for (const [path, text] of Object.entries(contents)) await workspace.write(path, bytesOf(text), {});
        });
        let puts = 0;
        const breaking = new Proxy(BUCKET, {
          get: (bucket, name: keyof R2Bucket) =>
            name !== "put"
              ? bucket[name].bind(bucket as never)
              : async (key: string, body: ReadableStream, options: R2PutOptions) => {
                  const strike = ++puts === step;
                  if (strike && when === "before") {
                    await body.cancel();
                    throw new Error("The object dies.");
                  }
                  const put = await bucket.put(key, body, options);
                  if (strike) throw new Error("The object dies.");
                  return put;
                },
        });
        const prefix = prefixOf("claude_orchestrator", "default", id);
        await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
          const keep = (bucket: R2Bucket) => {
            const keeper = new Keeper(storage, bucket, prefix);
            return { keeper, workspace: new Workspace(storage, LIMITS, keeper) };
          };
          const first = keep(breaking);
          const broke = await first.workspace.keep().then(
            () => false,
            () => true,
          );
          expect(broke).toBe(step <= 3);
          expect(first.keeper.pending).toBe(step <= 3);
          for (const again of [keep(breaking), keep(BUCKET)]) {
            for (const [path, text] of Object.entries(contents)) {
              const piece = await again.workspace.read(path, { offset: 0, length: 1_000_000 });
              expect(piece.bytes).toEqual(bytesOf(text));
            }
            await again.workspace.keep().catch(() => undefined);
          }
          expect(keep(BUCKET).keeper.pending).toBe(false);
        });
        expect(await keysOf(id)).toEqual(Object.keys(contents).sort());
        for (const [path, text] of Object.entries(contents)) {
          expect(await (await BUCKET.get(keyOf(prefix, path)))?.text()).toBe(text);
        }
      }
    }
  });
});

/** A bucket whose `strike`th call of an upload in parts is the last one: made, or not made, and then the object dies. */
function dyingBucket(strike: number, when: "before" | "after"): { bucket: R2Bucket; calls: string[] } {
  const calls: string[] = [];
  const dying =
    <Args extends unknown[], Result>(name: string, work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      calls.push(name);
      const strikes = calls.length === strike;
      if (strikes && when === "before") throw new Error("The object dies.");
      const result = await work(...args);
      if (strikes) throw new Error("The object dies.");
      return result;
    };
  const bucket = new Proxy(BUCKET, {
    get: (real, name: keyof R2Bucket) => {
      if (name === "createMultipartUpload") return dying("create", real.createMultipartUpload.bind(real));
      if (name !== "resumeMultipartUpload") return real[name].bind(real as never);
      return (key: string, id: string) => {
        const upload = real.resumeMultipartUpload(key, id);
        return {
          uploadPart: dying("part", upload.uploadPart.bind(upload)),
          complete: dying("complete", upload.complete.bind(upload)),
          abort: upload.abort.bind(upload),
        };
      };
    },
  });
  return { bucket, calls };
}

describe("a large file of an instance that has ended", () => {
  const size = 2 * PART_BYTES + 1_000;
  const bytes = new Uint8Array(size).map((_, i) => (i * 7) % 251);
  /** Compared as a whole: element by element takes seconds. */
  const isKept = async (id: string) => {
    const object = await BUCKET.get(`${PREFIX}${id}/big.bin`);
    return object !== null && Buffer.from(await object.arrayBuffer()).equals(bytes);
  };

  it.each(
    ["before", "after"].flatMap((when) =>
      [1, 2, 3, 4, 5].map((strike) => [when, strike] as ["before" | "after", number]),
    ),
  )("is there once, and no part twice, when its object dies %s call %i of its upload", async (when, strike) => {
    const id = await spawn();
    await send(id, "hello");
    const prefix = prefixOf("claude_orchestrator", "default", id);
    const { bucket, calls } = dyingBucket(strike, when);
    await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
      const keep = () => {
        const keeper = new Keeper(storage, bucket, prefix);
        return { keeper, workspace: new Workspace(storage, LIMITS, keeper) };
      };
      await keep().workspace.upload("big.bin", new Blob([bytes]).stream(), {});
      expect(await failure(keep().workspace.keep())).toMatchObject({ message: "The object dies." });
      expect(keep().keeper.pending).toBe(true);
      const piece = await keep().workspace.read("big.bin", { offset: PART_BYTES - 1, length: 3 });
      expect([...piece.bytes]).toEqual([...bytes.subarray(PART_BYTES - 1, PART_BYTES + 2)]);
      await keep().workspace.keep();
      expect(keep().keeper.pending).toBe(false);
      expect(storage.sql.exec("SELECT * FROM sending_file").toArray()).toEqual([]);
    });
    // What was under way is done again, and nothing else.
    expect(calls).toHaveLength(6);
    expect(await keysOf(id)).toEqual(["big.bin"]);
    expect(await isKept(id)).toBe(true);
  });

  it("is sent anew when R2 has forgotten its parts, and leaves none behind when it is deleted", async () => {
    const id = await spawn();
    await send(id, "hello");
    const prefix = prefixOf("claude_orchestrator", "default", id);
    await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
      const workspace = (bucket: R2Bucket) => new Workspace(storage, LIMITS, new Keeper(storage, bucket, prefix));
      const uploads = () =>
        storage.sql.exec<{ key: string; upload_id: string }>("SELECT key, upload_id FROM sending_file").toArray();
      await workspace(BUCKET).upload("big.bin", new Blob([bytes]).stream(), {});
      await failure(workspace(dyingBucket(3, "before").bucket).keep());
      for (const { key, upload_id: upload } of uploads()) await BUCKET.resumeMultipartUpload(key, upload).abort();
      await failure(workspace(BUCKET).keep());
      await failure(workspace(dyingBucket(3, "before").bucket).keep());
      const [open] = uploads();
      expect(await new Keeper(storage, BUCKET, prefix).erase()).toBe(0);
      const upload = BUCKET.resumeMultipartUpload(open?.key ?? "", open?.upload_id ?? "");
      expect((await failure(upload.uploadPart(1, "x"))).message).toContain("does not exist");
      await workspace(BUCKET)
        .keep()
        .catch(() => undefined);
      await workspace(BUCKET).keep();
    });
    expect(await isKept(id)).toBe(true);
  });
});
