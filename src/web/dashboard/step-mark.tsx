const WORDS: Record<string, string> = {
  queued: "Queued",
  running: "Working",
  completed: "Done",
  partial: "In part",
  failed: "Failed",
  skipped: "Skipped",
  cancelled: "Cancelled",
};

/** How a step or a job stands, in a word. */
export function StepMark({ status }: { status: string }) {
  return (
    <span className="step-state" data-status={status}>
      {WORDS[status] ?? status}
    </span>
  );
}
