/**
 * The end of each page's head: how old what is shown is, why it is not newer, and the way to all the room that the host has.
 */
import { Icon } from "../shared/icon.tsx";
import { clock } from "../shared/wording.ts";
import type { Host } from "./host.ts";
import type { Polled } from "./polled.ts";

export function HeadEnd({ host, mode, polled }: { host: Host; mode: string; polled: Polled<unknown> }) {
  const { at, error, refresh } = polled;
  const { availableDisplayModes = [] } = host.state().context;
  const other = mode === "fullscreen" ? "inline" : "fullscreen";
  return (
    <div className="head-end">
      {error && at !== null ? (
        <p className="stale" role="alert">
          Not up to date. {error.message}
        </p>
      ) : null}
      {!error && at !== null ? (
        <p>
          <span className="as-of">As of </span>
          {clock(new Date(at).toISOString())}
        </p>
      ) : null}
      <button type="button" className="button icon-button" aria-label="Ask again" onClick={refresh}>
        <Icon name="refresh" />
      </button>
      {availableDisplayModes.includes(other) ? (
        <button
          type="button"
          className="button icon-button"
          aria-label={other === "fullscreen" ? "Show it large" : "Back into the conversation"}
          onClick={() => void host.show(other)}
        >
          <Icon name={other === "fullscreen" ? "expand" : "collapse"} />
        </button>
      ) : null}
    </div>
  );
}
