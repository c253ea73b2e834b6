/**
 * Where the visitor is: the address below /dashboard, and links that change it without loading the page anew.
 */
import { type ComponentProps, createContext, type MouseEvent, useContext, useSyncExternalStore } from "react";

const BASE = "/dashboard";
const MOVED = "madrox:moved";

export interface Route {
  /** The address's parts, like ["instances", "inst_..."]; empty for the first page. */
  parts: readonly string[];
  query: URLSearchParams;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(MOVED, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(MOVED, listener);
  };
}

export function useRoute(): Route {
  const address = useSyncExternalStore(subscribe, () => window.location.pathname + window.location.search);
  const url = new URL(address, window.location.origin);
  return {
    parts: url.pathname.slice(BASE.length).split("/").filter(Boolean).map(decodeURIComponent),
    query: url.searchParams,
  };
}

/** Goes to an address below /dashboard. `replace`: the one before is not kept in the history. */
export function go(path: string, replace = false): void {
  const to = BASE + path;
  if (replace) window.history.replaceState(null, "", to);
  else window.history.pushState(null, "", to);
  window.dispatchEvent(new Event(MOVED));
  if (!replace) window.scrollTo(0, 0);
}

/** Where links lead, for parts that are also shown where there is no address to change. Paths are those below /dashboard. */
export interface Navigation {
  href(path: string): string;
  go(path: string): void;
}

export const NavigationContext = createContext<Navigation>({ href: (path) => BASE + path, go });

export function useNavigation(): Navigation {
  return useContext(NavigationContext);
}

export function Link({ to, onClick, ...rest }: { to: string } & Omit<ComponentProps<"a">, "href">) {
  const navigation = useNavigation();
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    navigation.go(to);
  };
  return <a href={navigation.href(to)} onClick={follow} {...rest} />;
}
