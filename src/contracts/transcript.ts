/**
 * The conversation as the Messages API takes it: what requests are made of, and what an instance stores.
 */

/** A content block exactly as the API gave it, or as it will be sent. */
export interface Block {
  type: string;
  [field: string]: unknown;
}

export interface TranscriptEntry {
  seq: number;
  n: number;
  role: "user" | "assistant";
  /** The simulator wrote it. */
  simulated: boolean;
  blocks: Block[];
}
