/**
 * What a person is asked before a guarded call runs: the call, whole and to be seen, for leave covers what was read and nothing more.
 */
import type { Asked } from "../../contracts/instance-tool.ts";
import { withInvisibleEscaped } from "../../platform/visible-text.ts";
import { APPROVAL_OPTIONS } from "../question-policy.ts";

/**
 * A call's input in characters, as it is shown, at most: nobody reads more before an answer, and it travels to the registry with each
 * report. As much as a script for `bash` may have.
 */
const MAX_SHOWN = 100_000;
/** From here on the question says how long the input is: the end of a long one is out of sight at first. */
const LONG = 1_000;

interface Call {
  name: string;
  /** JSON. */
  input: string;
}

/** The question, or why the call can't be asked for at all, as the end of a sentence for the model. */
export function approvalFor({ name, input }: Call): Asked | { unshowable: string } {
  const shown = withInvisibleEscaped(input);
  const length = shown.length.toLocaleString("en-US");
  if (shown.length > MAX_SHOWN) {
    const most = MAX_SHOWN.toLocaleString("en-US");
    return {
      unshowable: `its input has ${length} characters, and a person who is to approve it is shown at most ${most}. Do it in smaller pieces.`,
    };
  }
  return {
    kind: "approval",
    to: null,
    text: `${shown.length < LONG ? "" : `The input has ${length} characters, all of them shown. `}May it run ${name} with ${shown}?`,
    options: APPROVAL_OPTIONS,
    defaultAnswer: null,
    expiresAt: null,
  };
}
