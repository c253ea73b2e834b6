import type { ReactNode } from "react";
import type { ServerError } from "./server.ts";

/** Nothing there, and what to do about it. */
export function Nothing({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice">
      <p className="notice-title">{title}</p>
      {children ? <div className="quiet">{children}</div> : null}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="notice" role="status">
      <p className="quiet">Loading {what} …</p>
    </div>
  );
}

/** Something could not be read: what, and why, in the server's words. */
export function Failed({ what, error }: { what: string; error: ServerError }) {
  return (
    <div className="notice" role="alert">
      <p className="notice-title">{error.code === "unreachable" ? "No connection" : `${what} can't be shown`}</p>
      <p className="quiet">{error.message}</p>
    </div>
  );
}
