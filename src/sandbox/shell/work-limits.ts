/** What a script may compute, in units of the meter in its interpreter. A million are 5 to 20 ms. */

/** Units that a step and a script may take. */
export interface WorkLimits {
  step: number;
  script: number;
}

/** Of one step: what nothing can get in between, mostly one command. */
export const STEP_UNITS = 40_000_000;
/** Of the whole script. */
export const SCRIPT_UNITS = 200_000_000;
/** After so many, it rests before its next command: a new step begins. */
export const SLICE_UNITS = 500_000;
