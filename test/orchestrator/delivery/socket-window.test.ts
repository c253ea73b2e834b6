import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as window from "../../../src/orchestrator/delivery/socket-window.ts";

type Step = { frame: number } | { ack: number; receipt: "oldest" | "newest" | "none" | "made up" };

describe("the window of a socket", () => {
  it("is never exceeded by more than a frame, whatever is confirmed, and opens for a reader that sends its receipts back", () => {
    const step = fc.oneof(
      fc.record({ frame: fc.integer({ min: 1, max: 250_000 }) }),
      fc.record({ ack: fc.nat(10_000), receipt: fc.constantFrom("oldest", "newest", "none", "made up" as const) }),
    ) as fc.Arbitrary<Step>;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let position = window.startAt(100, 1);
        let serial = 0;
        const read = () => {
          const receipt = position.receipts.at(-1)?.text ?? null;
          position = window.afterAck(position, { seq: position.after, receipt });
        };
        for (const one of steps) {
          if ("frame" in one) {
            if (!window.hasRoom(position)) continue;
            const receipt = window.wantsReceipt(position, one.frame) ? `r${serial++}` : null;
            position = window.afterFrame(position, one.frame, position.after + 1, receipt);
          } else {
            const { receipts } = position;
            const known =
              one.receipt === "oldest" ? receipts[0] : one.receipt === "newest" ? receipts.at(-1) : undefined;
            const receipt = known?.text ?? (one.receipt === "made up" ? "guess" : null);
            position = window.afterAck(position, { seq: one.ack, receipt });
          }
          expect(position.sent - position.read).toBeLessThan(1_000_000 + 250_000);
          expect(position.acked).toBeLessThanOrEqual(position.after);
          expect(position.receipts.length).toBeLessThanOrEqual(17);
          // The attachment of a socket takes this much.
          expect(JSON.stringify(position).length).toBeLessThan(2_048);
        }
        read();
        expect(window.hasRoom(position)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("lets a reader say twenty frames, and one for each that it gets", () => {
    let position: window.Position | null = window.startAt(0, 1);
    let said = 1;
    for (let next = window.afterHearing(position); next; next = window.afterHearing(position)) {
      position = next;
      said += 1;
    }
    expect(said).toBe(20);
    expect(window.afterHearing(window.afterFrame(position, 1, 1, null))).not.toBeNull();
  });

  it("gives a reader up after a minute without room, and not one that made some meanwhile", () => {
    const position = window.held(window.held(window.startAt(0, 1), 1_000), 50_000);
    expect(window.isGivenUp(position, 1_000 + window.MAX_HELD_MS - 1)).toBe(false);
    expect(window.isGivenUp(position, 1_000 + window.MAX_HELD_MS)).toBe(true);
    expect(window.isGivenUp(window.afterFrame(position, 1, 1, null), 1e9)).toBe(false);
  });
});
