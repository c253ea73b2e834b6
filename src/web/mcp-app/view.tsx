/**
 * The view as a whole: connecting to the host, then the page that fits the call it stands beside.
 */
import { type ReactNode, useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { FleetStore } from "../shared/fleet.ts";
import { FleetContext } from "../shared/fleet-context.ts";
import { Loading, Nothing } from "../shared/notice.tsx";
import type { TreeAnswer } from "../shared/records.ts";
import { NavigationContext } from "../shared/route.tsx";
import type { Host } from "./host.ts";
import { InstancePage } from "./instance-page.tsx";
import { type Opening, openingOf } from "./opening.ts";
import { usePolled } from "./polled.ts";
import { TreePage } from "./tree-page.tsx";

/** Instances in the tree, at most: the uppermost ones. */
const MAX_ROWS = 500;
/** How often the tree is asked for: while something in it works, and while nothing does or another page is shown. */
const WORKING_MS = 3_000;
const RESTING_MS = 10_000;

export function View({ host }: { host: Host }) {
  const state = useSyncExternalStore(host.subscribe, host.state);
  const mode = state.context.displayMode ?? "inline";
  useEffect(() => {
    document.documentElement.dataset.mode = mode;
  }, [mode]);
  // What it opened with stays, whatever else the host tells.
  const [opening, setOpening] = useState<Opening | null>(null);
  const found = openingOf(state);
  if (opening === null && found !== null) setOpening(found);

  switch (state.connection) {
    case "failed":
      return (
        <Alone>
          <Nothing title="No host">
            This page is a view for programs that show MCP Apps. It shows nothing alone.
          </Nothing>
        </Alone>
      );
    case "ended":
      return null;
    case "connecting":
      return (
        <Alone>
          <Loading what="Madrox" />
        </Alone>
      );
    case "connected":
      if (!host.runsTools) {
        return (
          <Alone>
            <Nothing title="Nothing to show live">
              This program does not let views run tools. What the tool answered stands in the conversation.
            </Nothing>
          </Alone>
        );
      }
      if (opening) return <Live host={host} opening={opening} mode={mode} />;
      return (
        <Alone>
          <Loading what="the instances" />
        </Alone>
      );
  }
}

function Alone({ children }: { children: ReactNode }) {
  return (
    <main className="app">
      <h1 className="visually-hidden">Madrox</h1>
      {children}
    </main>
  );
}

function Live({ host, opening, mode }: { host: Host; opening: Opening; mode: string }) {
  const [path, setPath] = useState(opening.path);
  const [root, setRoot] = useState(opening.root);
  const [ended, setEnded] = useState(false);
  const store = useMemo(() => new FleetStore(), []);
  const instance = /^\/instances\/(\w+)$/.exec(path)?.[1];

  const load = useCallback(async () => {
    const input = { depth: 20, limit: MAX_ROWS, terminated: ended, ...(root === null ? {} : { root_id: root }) };
    const answer = (await host.read("get_instance_tree", input)) as unknown as TreeAnswer;
    store.take(answer.tree, answer.truncated, new Map());
    return answer;
  }, [host, store, root, ended]);
  const works = () => [...store.fleet().rows.values()].some(({ state }) => state === "busy" || state === "waiting");
  const tree = usePolled(load, () => (instance === undefined && works() ? WORKING_MS : RESTING_MS));

  const navigation = useMemo(
    () => ({
      href: (to: string) => `#${to}`,
      go: (to: string) => {
        setPath(to);
        window.scrollTo(0, 0);
      },
    }),
    [],
  );
  return (
    <FleetContext value={store}>
      <NavigationContext value={navigation}>
        <main className="app">
          {instance === undefined ? (
            <TreePage
              host={host}
              mode={mode}
              polled={tree}
              root={root}
              onAll={() => setRoot(null)}
              ended={ended}
              onEnded={setEnded}
            />
          ) : (
            <InstancePage key={instance} id={instance} host={host} mode={mode} onActed={tree.refresh} />
          )}
        </main>
      </NavigationContext>
    </FleetContext>
  );
}
