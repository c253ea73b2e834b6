/**
 * Old entries of the ledger move to R2, and every balance stays their sum.
 */
import { env, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { request, send, spawn } from "../../support/door.ts";
import { DAY_MS } from "../../support/log-export.ts";
import { installModel } from "../../support/model.ts";

beforeAll(() => {
  installModel();
});

describe("the archive of the ledger", () => {
  const SUMS =
    "SUM(settled_nano) AS settled, SUM(unsettled) AS unsettled, SUM(reserved) AS reserved, SUM(fresh) AS fresh";
  /** Every balance of an instance, as it is kept and as its entries say, here and carried forward. */
  const booksOf = (id: string) =>
    runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_object, { storage: { sql } }) => ({
      kept: sql
        .exec(
          `SELECT settled_nano AS settled, unsettled_nano AS unsettled, reserved_nano AS reserved, fresh FROM balance WHERE scope = ?`,
          id,
        )
        .one(),
      summed: sql
        .exec(
          `SELECT ${SUMS} FROM (
             SELECT settled_nano, IIF(kind = 'unsettled', reserved_nano, 0) AS unsettled,
               IIF(kind = 'reserve', reserved_nano, -reserved_nano) AS reserved,
               input + output + cache_write_5m + cache_write_1h AS fresh FROM ledger WHERE instance_id = ?1
             UNION ALL SELECT settled_nano, unsettled_nano, reserved_nano, fresh FROM ledger_carried WHERE instance_id = ?1)`,
          id,
        )
        .one(),
      here: sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM ledger").one().n,
    }));

  async function entries(after = 0): Promise<string[]> {
    const response = await request(`/ledger?after=${after}`);
    expect(response.status).toBe(200);
    return new TextDecoder()
      .decode(await response.arrayBuffer())
      .split("\n")
      .slice(0, -1);
  }

  /** Makes the oldest entries too old to stay, and lets them go. */
  const move = (upTo: number) =>
    runInDurableObject(env.ORCHESTRATOR.getByName("default"), async (instance, { storage: { sql } }) => {
      sql.exec("UPDATE ledger SET at = ? WHERE id <= ?", Date.now() - 40 * DAY_MS, upTo);
      sql.exec("UPDATE event SET at = ? WHERE seq = (SELECT MIN(seq) FROM event)", Date.now() - 40 * DAY_MS);
      await instance.alarm();
    });

  test("is exported whole, wherever its entries are, and every balance stays their sum", async () => {
    const id = await spawn();
    await send(id, "one");
    await send(id, "two");
    const before = await entries();
    const books = await booksOf(id);
    expect(books.summed).toEqual(books.kept);
    const ids = before.map((line) => (JSON.parse(line) as { id: number }).id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(before.map((line) => (JSON.parse(line) as { instance_id: string }).instance_id)).toContain(id);

    // Between a reservation and its end, and then all of it.
    const last = ids.at(-1) ?? 0;
    for (const upTo of [last - 1, last]) {
      await move(upTo);
      const now = await booksOf(id);
      expect(now).toEqual({ ...books, here: last - upTo });
      const exported = await entries();
      expect(exported.map(timeless)).toEqual(before.map(timeless));
      expect((await entries(ids[0])).map(timeless)).toEqual(before.slice(1).map(timeless));
    }
    await send(id, "three");
    expect((await entries(last)).map((line) => (JSON.parse(line) as { id: number }).id)).toEqual([last + 1, last + 2]);
    const after = await booksOf(id);
    expect(after.summed).toEqual(after.kept);
  });

  const timeless = (line: string) => ({ ...(JSON.parse(line) as object), at: "" });

  test.each(["-1", "x", "1.5"])("refuses to begin after %s", async (after) => {
    expect((await request(`/ledger?after=${after}`)).status).toBe(400);
  });
});
