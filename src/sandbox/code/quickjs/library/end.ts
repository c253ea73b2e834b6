/** Evaluated when the program has come to its end. */
import { host } from "./host.ts";
import { finish } from "./process.ts";

host.exit(await finish());
