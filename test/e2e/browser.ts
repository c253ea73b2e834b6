/** The browser of the machine. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM_PATH, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** `hosts`: a pattern of host names that lead to this machine. */
export function openBrowser({ hosts }: { hosts?: string } = {}): Promise<Browser> {
  const executablePath = PLACES.find((path) => path !== undefined && existsSync(path));
  if (!executablePath) throw new Error("These tests need Chromium: apt-get install chromium, or set CHROMIUM_PATH.");
  const rules = hosts === undefined ? [] : [`--host-resolver-rules=MAP ${hosts} 127.0.0.1`];
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...rules] });
}
