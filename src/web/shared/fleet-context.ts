/**
 * Where the page's parts find the fleet, whoever keeps it up to date: the live socket on the dashboard, the host in the app.
 */
import { createContext, useContext, useSyncExternalStore } from "react";
import type { Fleet, FleetStore } from "./fleet.ts";

export const FleetContext = createContext<FleetStore | null>(null);

export function useFleet(): Fleet {
  const store = useContext(FleetContext);
  if (!store) throw new Error("useFleet is used outside of a FleetContext.");
  return useSyncExternalStore(store.subscribe, store.fleet);
}
