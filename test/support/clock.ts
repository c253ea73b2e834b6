/**
 * The Worker's clock, which a test sets ahead: what is put off is not waited for. It goes on, unlike a frozen one, so that
 * watchdogs work.
 */
import { afterAll, beforeAll, vi } from "vitest";

/** For a test file, or a `describe`: from now on its clock is this far ahead. */
export function installClock(): { aheadMs: number } {
  const clock = { aheadMs: 0 };
  beforeAll(() => {
    const real = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => real() + clock.aheadMs);
  });
  afterAll(() => vi.mocked(Date.now).mockRestore());
  return clock;
}
