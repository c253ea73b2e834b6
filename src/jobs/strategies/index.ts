import type { CoordinationType } from "../../contracts/job.ts";
import { consensus } from "./consensus.ts";
import { delegated } from "./delegated.ts";
import { parallel } from "./parallel.ts";
import { sequential } from "./sequential.ts";
import type { Strategy } from "./strategy.ts";

/** The strategy of each coordination type. */
export const STRATEGIES: Readonly<Record<CoordinationType, Strategy>> = { sequential, parallel, consensus, delegated };
