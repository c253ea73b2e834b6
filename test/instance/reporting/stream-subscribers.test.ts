/**
 * The stream of a running answer: who is woken when, and sees what.
 */
import { describe, expect, it } from "vitest";
import { eventStream } from "../../../src/http/rest/event-stream.ts";
import type { LiveAnswer } from "../../../src/instance/reporting/live-stream.ts";
import { StreamSubscribers } from "../../../src/instance/reporting/stream-subscribers.ts";

describe("the subscribers to a running answer", () => {
  const answer = (text: string, callId = 1): LiveAnswer => ({ callId, n: 1, step: 1, text });

  it("are woken together, once for many pieces, and see the same of it", async () => {
    let live = answer("");
    const stream = new StreamSubscribers(() => live);
    let woken = 0;
    const wait = () => Promise.all(Array.from({ length: 50 }, () => stream.next(60_000).then(() => (woken += 1))));
    const comes = () => {
      live = answer(`${live.text}a`);
      stream.streamed();
    };
    const first = wait();
    comes();
    expect(stream.shown?.text).toBe("a");
    await first;
    for (let round = 1; round <= 3; round++) {
      const before = stream.shown?.text;
      const all = wait();
      for (let piece = 0; piece < 100; piece++) {
        comes();
        expect(stream.shown?.text).toBe(before);
      }
      await all;
      expect(woken).toBe(50 + round * 50);
      expect(stream.shown?.text).toHaveLength(1 + round * 100);
    }
  });

  it("hear at once of what happened, and of another answer", async () => {
    let live: LiveAnswer | null = answer("some");
    const stream = new StreamSubscribers(() => live);
    const next = stream.next(60_000);
    stream.streamed();
    stream.notify();
    await next;
    live = answer("new", 2);
    expect(stream.shown).toEqual(live);
    live = null;
    expect(stream.shown).toBeNull();
  });

  it("are fed as they read: a stuck one makes nobody collect anything for it", async () => {
    let pulls = 0;
    const pull = async (cursor: string) => {
      pulls += 1;
      return { events: [{ id: cursor, event: "text", data: "x".repeat(1_000) }], cursor: String(Number(cursor) + 1) };
    };
    const body = eventStream("0", pull).body?.getReader();
    const turnOfEvents = () => new Promise((done) => setTimeout(done, 0));
    for (let i = 0; i < 20; i++) await turnOfEvents();
    expect(pulls).toBeLessThanOrEqual(1);
    for (let reads = 1; reads <= 5; reads++) {
      await body?.read();
      for (let i = 0; i < 20; i++) await turnOfEvents();
      expect(pulls).toBeLessThanOrEqual(reads + 1);
    }
    await body?.cancel();
  });
});
