/**
 * What a program finds in its sandbox beside the language. Evaluated first. What works here works the same under Node; what is
 * not here is absent. These modules are sources for the engine in the sandbox: `npm run engine:library` writes them to
 * ../library.json, and nothing of the server imports them.
 */
import { TextEncoder } from "./bytes.ts";
import { structuredClone } from "./clone.ts";
import { console } from "./console.ts";
import { host } from "./host.ts";
import { fatal, process, queueMicrotask } from "./process.ts";
import { clearTimer, setImmediate, setInterval, setTimeout } from "./timers.ts";

function require(): never {
  throw new ReferenceError("require is not there: programs are ES modules. Write: import { name } from './file.js'");
}

Object.assign(globalThis, {
  console,
  process,
  global: globalThis,
  require,
  setTimeout,
  setInterval,
  setImmediate,
  clearTimeout: clearTimer,
  clearInterval: clearTimer,
  clearImmediate: clearTimer,
  queueMicrotask,
  structuredClone,
  TextEncoder,
});
const scope = globalThis as { performance?: { now(): number } };
scope.performance ??= { now: () => Date.now() };

host.onUncaught(fatal);
