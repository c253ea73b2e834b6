import type { CoordinationType } from "../contracts/job.ts";
import { consensus } from "./consensus.ts";
import type { Course } from "./course.ts";
import { delegated } from "./delegated.ts";
import { parallel } from "./parallel.ts";
import { sequential } from "./sequential.ts";

/** The course of each type. */
export const COURSES: Readonly<Record<CoordinationType, Course>> = { sequential, parallel, consensus, delegated };
