import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { output, send, spawn, status, until } from "./support/door.ts";
import { installModel, type ScriptCall, scriptModel } from "./support/model.ts";

const model = installModel();
beforeAll(() => scriptModel(() => undefined));
const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);

it("explore evict", async () => {
  scriptModel(() => ({ delayMs: 700, blocks: [{ type: "text" as const, text: "Done." }] }));
  for (const how of ["abortall", "evict"]) {
    const id = await spawn();
    const t0 = Date.now();
    console.log(how, (await send(id, "go", { wait_for_response: false })).status, Date.now() - t0);
    await new Promise((d) => setTimeout(d, 100));
    if (how === "evict") await evictDurableObject(objectOf(id));
    else if (how === "abortall") await abortAllDurableObjects();
    else
      await runInDurableObject(objectOf(id), (_i, s) => s.abort("killed")).catch((e) => console.log("err", String(e)));
    console.log("after", Date.now() - t0);
    console.log(await status(id));
    await new Promise((d) => setTimeout(d, 1000));
    console.log(
      (await status(id)).state,
      model.simulator.journal.map((e) => e.outcome),
    );
    console.log(await runDurableObjectAlarm(objectOf(id)), Date.now() - t0);
    await until(async () => (await status(id)).state === "idle");
    console.log(
      Date.now() - t0,
      (await output(id)).map((r) => r.type),
    );
  }
});
