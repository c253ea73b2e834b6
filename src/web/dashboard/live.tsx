/**
 * The live socket of the page: one for the whole fleet. It is given up and opened again by itself, and each time it asks for
 * what comes after the last event that is here.
 */
import { useAgent } from "agents/react";
import { type ReactNode, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { FleetStore } from "../shared/fleet.ts";
import { FleetContext } from "../shared/fleet-context.ts";
import type { LiveFrame, TreeAnswer, TreeRow } from "../shared/records.ts";
import { accessKey, read, ServerError } from "../shared/server.ts";

/** A sign of life is asked for so often; without an answer until the next one the connection counts as dead. */
const PING_MS = 20_000;
/** After so many events the server hears how far the page is. */
const ACK_EVENTS = 1_000;
/** Instances that the page shows, at most. */
const MAX_ROWS = 5_000;
/** While there is no connection it is looked so often whether the key still opens the server. */
const LOOK_MS = 3_000;

/** The subprotocols to ask for. The key goes here: an address would end up in logs. */
function protocols(key: string | null): string[] {
  if (key === null) return ["madrox.live"];
  const encoded = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["madrox.live", `madrox.key.${encoded}`];
}

export function Live({ ended, onRefused, children }: { ended: boolean; onRefused: () => void; children: ReactNode }) {
  const store = useMemo(() => new FleetStore(), []);
  const key = accessKey();
  const wanted = useMemo(() => protocols(key), [key]);
  const acked = useRef(0);
  const answered = useRef(true);
  /** While a tree is on its way: the rows that frames have brought. */
  const meanwhile = useRef<Map<string, TreeRow> | null>(null);

  const socket = useAgent({
    agent: "orchestrator",
    basePath: "live",
    protocols: wanted,
    minReconnectionDelay: 500,
    maxReconnectionDelay: 5_000,
    onOpen: (event) => {
      answered.current = true;
      (event.target as WebSocket).send(JSON.stringify({ type: "follow", after: store.lastSeq }));
    },
    onMessage: (message) => {
      answered.current = true;
      if (message.data === "pong") return;
      const frame = JSON.parse(String(message.data)) as LiveFrame;
      const at = store.apply(frame);
      for (const row of frame.instances) meanwhile.current?.set(row.instance_id, row);
      if (frame.restart) acked.current = 0;
      if (frame.receipt !== undefined || at - acked.current >= ACK_EVENTS) {
        acked.current = at;
        (message.target as WebSocket).send(JSON.stringify({ type: "ack", seq: at, receipt: frame.receipt }));
      }
      if (store.fleet().connection !== "live") store.connected("live");
    },
    onClose: () => {
      if (store.fleet().connection !== "lost") store.connected("lost");
    },
  });

  useEffect(() => {
    const timer = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return;
      if (!answered.current) {
        socket.reconnect();
        return;
      }
      answered.current = false;
      socket.send("ping");
    }, PING_MS);
    return () => clearInterval(timer);
  }, [socket]);

  const { opened, connection } = useSyncExternalStore(store.subscribe, store.fleet);
  // A browser does not tell why a socket was refused: another request does.
  useEffect(() => {
    if (connection !== "lost") return;
    const timer = setInterval(() => {
      read("/instances?limit=1").catch((error) => {
        if (error instanceof ServerError && error.status === 401) onRefused();
      });
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [connection, onRefused]);
  // Frames tell what changes; what changed while nobody listened is read again with every new connection.
  // `opened` is why it is read again.
  useEffect(() => {
    const gone = new AbortController();
    const load = async (): Promise<void> => {
      meanwhile.current = new Map();
      try {
        const answer = await read<TreeAnswer>(`/tree?limit=${MAX_ROWS}&depth=20&terminated=${ended}`, gone.signal);
        store.take(answer.tree, answer.truncated, meanwhile.current);
      } catch (error) {
        if (gone.signal.aborted) return;
        if (error instanceof ServerError && error.status === 401) onRefused();
        else setTimeout(() => void (gone.signal.aborted || load()), 2_000);
      } finally {
        meanwhile.current = null;
      }
    };
    void load();
    return () => gone.abort();
  }, [store, ended, opened, onRefused]);

  return <FleetContext value={store}>{children}</FleetContext>;
}
