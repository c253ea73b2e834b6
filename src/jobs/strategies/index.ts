import type { CoordinationType } from "../../contracts/job.ts";
import { consensus } from "./consensus.ts";
import { delegated } from "./delegated.ts";
import { parallel } from "./parallel.ts";
import { sequential } from "./sequential.ts";
import type { Course } from "./strategy.ts";

/** The course of each type. */
export const COURSES: Readonly<Record<CoordinationType, Course>> = { sequential, parallel, consensus, delegated };
