import { type FormEvent, type KeyboardEvent, useState } from "react";
import { Icon } from "./icon.tsx";
import { useAction } from "./modal.tsx";
import type { InstanceState } from "./records.ts";
import { useRun } from "./run-context.ts";

const WHEN_BUSY = [
  ["queue", "when it is done"],
  ["steer", "into what it does now"],
  ["interrupt", "instead of what it does now"],
] as const;

/** Sends an instance a message. Enter sends, Shift+Enter starts a new line. */
export function MessageBox({ id, name, state }: { id: string; name: string; state: InstanceState }) {
  const run = useRun();
  const [text, setText] = useState("");
  const [whenBusy, setWhenBusy] = useState<string>("queue");
  const { pending, problem, perform } = useAction();
  const busy = state === "busy" || state === "waiting" || state === "initializing" || state === "paused";

  const send = async () => {
    if (text.trim() === "" || pending) return;
    const sent = await perform(async () => {
      await run("send_to_instance", {
        instance_id: id,
        message: text,
        wait_for_response: false,
        ...(busy ? { when_busy: whenBusy } : {}),
      });
    });
    if (sent) setText("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };

  return (
    <form className="message-box" onSubmit={submit}>
      {problem ? (
        <p className="problem" role="alert">
          {problem}
        </p>
      ) : null}
      <textarea
        aria-label={`Message to ${name}`}
        placeholder={`Message ${name}`}
        rows={2}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      <div className="message-foot">
        {busy ? (
          <label className="inline-field">
            <span>Send</span>
            <select value={whenBusy} onChange={(event) => setWhenBusy(event.target.value)}>
              {WHEN_BUSY.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <span className="quiet">Enter sends, Shift+Enter starts a line</span>
        )}
        <button type="submit" className="button primary" disabled={pending || text.trim() === ""}>
          <Icon name="send" />
          <span>Send</span>
        </button>
      </div>
    </form>
  );
}
