/** How a shell script or a program ended. */
export interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number;
  /** A sentence that says what stopped it; null when it ended by itself. */
  stopped: string | null;
}
