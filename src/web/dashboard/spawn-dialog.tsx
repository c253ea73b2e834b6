import { useState } from "react";
import { ROLE_IDS } from "../../contracts/role.ts";
import { useFleet } from "../shared/fleet-context.ts";
import { Modal } from "../shared/modal.tsx";
import { go } from "../shared/route.tsx";
import { run } from "../shared/server.ts";
import { roleName } from "../shared/wording.ts";

const MODELS = ["sonnet", "opus", "haiku"];
const TOOLS = ["none", "read_only", "standard", "full"];

/** Spawns an instance, below `parent` when it is given, and goes to its page. */
export function SpawnDialog({ parent, onClose }: { parent: string | null; onClose: () => void }) {
  const { rows } = useFleet();
  const [name, setName] = useState("");
  const [role, setRole] = useState("general");
  const [model, setModel] = useState("");
  const [tools, setTools] = useState("");
  const [prompt, setPrompt] = useState("");
  const [cost, setCost] = useState("");

  const spawn = async () => {
    const spawned = await run<{ instance_id: string }>("spawn_claude", {
      name,
      role,
      ...(model ? { model } : {}),
      ...(tools ? { tools } : {}),
      ...(prompt.trim() ? { initial_prompt: prompt } : {}),
      ...(cost ? { max_cost: Number(cost) } : {}),
      ...(parent ? { parent_instance_id: parent } : {}),
    });
    go(`/instances/${spawned.instance_id}`);
  };
  const above = parent ? rows.get(parent) : undefined;

  return (
    <Modal
      title={above ? `Spawn below ${above.name}` : "Spawn an instance"}
      action="Spawn"
      onClose={onClose}
      onSubmit={spawn}
    >
      <label className="field">
        <span>Name</span>
        <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <div className="field-row">
        <label className="field">
          <span>Role</span>
          <select value={role} onChange={(event) => setRole(event.target.value)}>
            {ROLE_IDS.map((one) => (
              <option key={one} value={one}>
                {roleName(one)}
              </option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>Model</span>
          <select value={model} onChange={(event) => setModel(event.target.value)}>
            <option value="">The server's default</option>
            {MODELS.map((one) => (
              <option key={one} value={one}>
                {roleName(one)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <label className="field">
        <span>
          First message <em>optional</em>
        </span>
        <textarea rows={4} value={prompt} onChange={(event) => setPrompt(event.target.value)} />
      </label>
      <div className="field-row">
        <label className="field">
          <span>Tools</span>
          <select value={tools} onChange={(event) => setTools(event.target.value)}>
            <option value="">What its role needs</option>
            {TOOLS.map((one) => (
              <option key={one} value={one}>
                {roleName(one)}
              </option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>
            Cap in USD <em>optional</em>
          </span>
          <input
            type="number"
            min="0"
            step="any"
            inputMode="decimal"
            value={cost}
            onChange={(event) => setCost(event.target.value)}
          />
        </label>
      </div>
    </Modal>
  );
}
