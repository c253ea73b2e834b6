import { useState } from "react";
import { useFleet } from "../shared/fleet-context.ts";
import { Modal } from "../shared/modal.tsx";
import { run } from "../shared/server.ts";

/** Asks once more before an instance and everything below it ends. */
export function TerminateDialog({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const { rows } = useFleet();
  const [force, setForce] = useState(false);
  const within = (at: string | null): boolean =>
    at !== null && (at === id || within(rows.get(at)?.parent_instance_id ?? null));
  const below = [...rows.values()].filter(
    (row) => row.state !== "terminated" && row.instance_id !== id && within(row.parent_instance_id),
  ).length;
  return (
    <Modal
      title={`Terminate ${name}?`}
      action={below > 0 ? `Terminate ${below + 1} instances` : "Terminate"}
      dangerous
      onClose={onClose}
      onSubmit={async () => {
        await run("terminate_instance", { instance_id: id, force });
      }}
    >
      <p>
        It takes no more messages{below > 0 ? `, and neither do the ${below} below it` : ""}. Queued messages are
        cancelled. What was said and its files stay readable.
      </p>
      <label className="check">
        <input type="checkbox" checked={force} onChange={(event) => setForce(event.target.checked)} />
        <span>Stop the running turn instead of finishing it</span>
      </label>
    </Modal>
  );
}
