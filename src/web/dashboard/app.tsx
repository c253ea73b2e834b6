/**
 * The page as a whole: signing in, then the frame with whatever the address names.
 */
import { useCallback, useEffect, useRef, useState } from "react";
import { Failed, Loading, Nothing } from "../shared/notice.tsx";
import { Link, useRoute } from "../shared/route.tsx";
import { accessKey, ask, keepAccessKey, read, ServerError } from "../shared/server.ts";
import { EventsPage } from "./events-page.tsx";
import { FleetPage } from "./fleet-page.tsx";
import { InstancePage } from "./instance-page.tsx";
import { JobPage } from "./job-page.tsx";
import { JobsPage } from "./jobs-page.tsx";
import { Live } from "./live.tsx";
import { QuestionsPage } from "./questions-page.tsx";
import { Shell } from "./shell.tsx";
import { SignIn } from "./sign-in.tsx";
import { SpendPage } from "./spend-page.tsx";

type Entry =
  | { kind: "asking" }
  | { kind: "in" }
  | { kind: "out"; problem: string | null }
  | { kind: "failed"; error: ServerError };

export function App() {
  const [entry, setEntry] = useState<Entry>({ kind: "asking" });
  const [ended, setEnded] = useState(false);

  /** Whether a key was given that the server has not seen yet: that goes on record there, and a page that is loaded again does not. */
  const signingIn = useRef(false);

  const enter = useCallback(async () => {
    try {
      if (signingIn.current) await ask("/sign-in", { method: "POST" });
      signingIn.current = false;
      await read("/instances?limit=1");
      setEntry({ kind: "in" });
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.status !== 401) return setEntry({ kind: "failed", error });
      const tried = accessKey() !== null;
      signingIn.current = false;
      keepAccessKey(null);
      setEntry({
        kind: "out",
        problem: tried ? "That key was not accepted. Look for a missing part, and try again." : null,
      });
    }
  }, []);
  useEffect(() => void enter(), [enter]);
  useEffect(() => {
    if (entry.kind !== "failed") return;
    const timer = setTimeout(() => void enter(), 2_000);
    return () => clearTimeout(timer);
  }, [entry, enter]);

  const signIn = (key: string) => {
    keepAccessKey(key);
    signingIn.current = true;
    void enter();
  };
  const refused = useCallback(() => {
    keepAccessKey(null);
    setEntry({ kind: "out", problem: "The server no longer accepts the key. Sign in again." });
  }, []);

  switch (entry.kind) {
    case "asking":
      return (
        <main className="alone">
          <Loading what="Madrox" />
        </main>
      );
    case "failed":
      return (
        <main className="alone">
          <h1 className="visually-hidden">Madrox</h1>
          <Failed what="Madrox" error={entry.error} />
        </main>
      );
    case "out":
      return <SignIn problem={entry.problem} onKey={signIn} />;
    case "in":
      return (
        <Live ended={ended} onRefused={refused}>
          <Shell
            onSignOut={
              accessKey() === null
                ? null
                : () => {
                    keepAccessKey(null);
                    setEntry({ kind: "out", problem: null });
                  }
            }
          >
            <Page ended={ended} onEnded={setEnded} />
          </Shell>
        </Live>
      );
  }
}

function Page({ ended, onEnded }: { ended: boolean; onEnded: (ended: boolean) => void }) {
  const { parts, query } = useRoute();
  const [section, id] = parts;
  switch (section) {
    case undefined:
      return <FleetPage search={query.get("q") ?? ""} ended={ended} onEnded={onEnded} />;
    case "instances":
      if (id) return <InstancePage key={id} id={id} />;
      break;
    case "questions":
      return <QuestionsPage />;
    case "jobs":
      return id ? <JobPage key={id} id={id} /> : <JobsPage />;
    case "spend":
      return <SpendPage />;
    case "events":
      return <EventsPage instance={query.get("instance") ?? ""} />;
  }
  return (
    <Nothing title="There is no such page">
      <Link to="/">See all instances</Link>
    </Nothing>
  );
}
