/**
 * What holds an instance up, or has ended it.
 */
import type { InstanceRecord, InstanceState } from "./records.ts";
import { moment, waitsFor } from "./wording.ts";

interface CalloutsProps {
  record: InstanceRecord;
  /** How it stands, where that is known better than the record does. */
  state: InstanceState;
  onRaise: () => void;
}

export function Callouts({ record, state, onRaise }: CalloutsProps) {
  const { waiting_for: waiting, error_message: error } = record;
  switch (state) {
    case "paused":
      return (
        <div className="callout" data-tone="paused">
          <p>
            <strong>Paused by a cap.</strong> {error ?? "The next model call does not fit into what is left."}
          </p>
          <button type="button" className="button primary" onClick={onRaise}>
            Raise the cap
          </button>
        </div>
      );
    case "error":
      return error ? (
        <div className="callout" data-tone="error">
          <p>
            <strong>Its last message failed.</strong> {error}
          </p>
        </div>
      ) : null;
    case "waiting":
      return waiting && !record.questions?.length ? (
        <div className="callout" data-tone="waiting">
          <p>
            <strong>Waits for {waitsFor(waiting.reason)}</strong>
            {waiting.until ? `, until ${moment(waiting.until)} at the latest` : ""}.
          </p>
        </div>
      ) : null;
    case "terminated":
      return (
        <div className="callout">
          <p>
            <strong>Ended</strong>
            {record.termination_reason ? `: ${record.termination_reason}.` : "."} What it said and its files stay
            readable.
          </p>
        </div>
      );
    case "initializing":
    case "idle":
    case "busy":
      return null;
  }
}
