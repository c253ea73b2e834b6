/**
 * How much a workspace may hold. Decided before anything is written, so that a refusal has changed nothing.
 */

import type { Usage, WorkspaceLimits } from "../contracts/workspace.ts";
import type { Failure } from "../platform/errors.ts";

/** The change that is asked for: `size` of the file after it, and what the workspace grows by. */
export interface Growth {
  path: string;
  size: number;
  bytes: number;
  files: number;
}

/** Why a change does not fit, or null. What makes a workspace smaller always fits. */
export function quotaRefusal(
  limits: WorkspaceLimits,
  usage: Pick<Usage, "bytes" | "files">,
  growth: Growth,
): Failure | null {
  if (growth.bytes > 0 && growth.size > limits.fileBytes) {
    return {
      code: "too_large",
      message: `${growth.path} would have ${growth.size} bytes, and a file has at most ${limits.fileBytes} (WORKSPACE_MAX_FILE_BYTES). Split it.`,
      details: { size: growth.size, limit_bytes: limits.fileBytes },
    };
  }
  if (growth.bytes > 0 && usage.bytes + growth.bytes > limits.bytes) {
    return {
      code: "limit_reached",
      message: `The workspace holds ${usage.bytes} bytes of at most ${limits.bytes} (WORKSPACE_MAX_BYTES), and this needs ${growth.bytes} more. Delete what is no longer needed.`,
      details: { used_bytes: usage.bytes, limit_bytes: limits.bytes, needed_bytes: growth.bytes },
    };
  }
  if (growth.files > 0 && usage.files + growth.files > limits.files) {
    return {
      code: "limit_reached",
      message: `The workspace holds ${usage.files} files and folders of at most ${limits.files} (WORKSPACE_MAX_FILES), and this needs ${growth.files} more. Delete what is no longer needed.`,
      details: { used_files: usage.files, limit_files: limits.files, needed_files: growth.files },
    };
  }
  return null;
}
