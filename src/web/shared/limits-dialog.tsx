import { useState } from "react";
import { Modal } from "./modal.tsx";
import type { InstanceRecord } from "./records.ts";
import { useRun } from "./run-context.ts";
import { usd } from "./wording.ts";

const FIELDS = [
  { name: "max_cost", title: "Cost, in USD", step: "any" },
  { name: "max_total_tokens", title: "Fresh tokens", step: "1" },
  { name: "timeout_minutes", title: "Idle time, in minutes", step: "any" },
  { name: "max_turn_minutes", title: "One turn, in minutes", step: "any" },
] as const;

/** Sets the limits of an instance and everything below it. What a cap had paused goes on. */
export function LimitsDialog({ record, onClose }: { record: InstanceRecord; onClose: () => void }) {
  const [given, setGiven] = useState<Record<string, string>>(() =>
    Object.fromEntries(FIELDS.map(({ name }) => [name, record.limits[name]?.toString() ?? ""])),
  );
  const run = useRun();
  const save = async () => {
    const changed = FIELDS.flatMap(({ name }) => {
      const text = given[name] ?? "";
      return text === "" || Number(text) === record.limits[name] ? [] : [[name, Number(text)] as const];
    });
    if (changed.length > 0)
      await run("set_limits", { instance_id: record.instance_id, ...Object.fromEntries(changed) });
  };
  return (
    <Modal title={`Limits of ${record.name}`} action="Set limits" onClose={onClose} onSubmit={save}>
      <p className="quiet">
        Cost and tokens also bind everything below it. {usd(record.total_cost)} is spent.
        {record.state === "paused" ? " It is paused by a cap: with a higher one it goes on where it stopped." : ""}
      </p>
      <div className="field-grid">
        {FIELDS.map(({ name, title, step }) => (
          <label className="field" key={name}>
            <span>{title}</span>
            <input
              type="number"
              min="0"
              step={step}
              inputMode="decimal"
              placeholder="none"
              value={given[name]}
              onChange={(event) => setGiven({ ...given, [name]: event.target.value })}
            />
          </label>
        ))}
      </div>
    </Modal>
  );
}
