import { describe, expect, it } from "vitest";
import { eventStream } from "../../../src/http/rest/event-stream.ts";

/** A source that always has more. */
function endless() {
  const pulled: string[] = [];
  const stream = eventStream("0", async (cursor) => {
    pulled.push(cursor);
    const next = String(Number(cursor) + 1);
    return { events: [{ id: next, event: "test", data: "x".repeat(100_000) }], cursor: next };
  });
  return { pulled, stream };
}

const aWhile = () => new Promise((done) => setTimeout(done, 50));

describe("a stream of events", () => {
  it("that nobody reads pulls nothing ahead", async () => {
    const { pulled, stream } = endless();
    await aWhile();
    expect(pulled).toEqual([]);
    await stream.body?.cancel();
  });

  it("pulls a page for each that is read", async () => {
    const { pulled, stream } = endless();
    const reader = stream.body?.getReader();
    for (let i = 0; i < 4; i++) expect((await reader?.read())?.done).toBe(false);
    await aWhile();
    expect(pulled).toEqual(["0", "1", "2"]);
    await reader?.cancel();
    await aWhile();
    expect(pulled).toHaveLength(3);
  });
});
