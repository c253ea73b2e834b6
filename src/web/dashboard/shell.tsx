/**
 * The frame around every page: where one can go, the search, and how the connection stands.
 */
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { useFleet } from "../shared/fleet-context.ts";
import { Icon, type IconName, Mark } from "../shared/icon.tsx";
import { go, Link, useRoute } from "../shared/route.tsx";
import { SpawnDialog } from "./spawn-dialog.tsx";
import { applyTheme, chosenTheme, THEMES, type Theme } from "./theme.ts";

const PLACES: readonly { to: string; section: string; title: string; icon: IconName }[] = [
  { to: "/", section: "instances", title: "Instances", icon: "fleet" },
  { to: "/questions", section: "questions", title: "Questions", icon: "question" },
  { to: "/jobs", section: "jobs", title: "Jobs", icon: "job" },
  { to: "/spend", section: "spend", title: "Spend", icon: "spend" },
  { to: "/events", section: "events", title: "Events", icon: "events" },
];

export function Shell({ onSignOut, children }: { onSignOut: (() => void) | null; children: ReactNode }) {
  const { rows } = useFleet();
  const { parts } = useRoute();
  const [spawning, setSpawning] = useState(false);
  let questions = 0;
  for (const row of rows.values()) questions += row.open_questions ?? 0;
  const here = parts[0] ?? "instances";

  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/" className="brand" aria-label="Madrox, all instances">
          <Mark />
          <span>Madrox</span>
        </Link>
        <SearchField />
        <div className="top-end">
          <ConnectionSign />
          <ThemeSwitch />
          {onSignOut ? (
            <button type="button" className="button quiet-button" onClick={onSignOut}>
              Sign out
            </button>
          ) : null}
          <button type="button" className="button primary spawn-button" onClick={() => setSpawning(true)}>
            <Icon name="plus" />
            <span>Spawn</span>
          </button>
        </div>
      </header>
      <nav className="places" aria-label="Pages">
        {PLACES.map((place) => (
          <Link key={place.to} to={place.to} aria-current={here === place.section ? "page" : undefined}>
            <Icon name={place.icon} />
            <span>{place.title}</span>
            {place.section === "questions" && questions > 0 ? (
              <span className="badge">
                {questions}
                <span className="visually-hidden"> open</span>
              </span>
            ) : null}
          </Link>
        ))}
      </nav>
      <main id="content" className="content" tabIndex={-1}>
        {children}
      </main>
      {spawning ? <SpawnDialog parent={null} onClose={() => setSpawning(false)} /> : null}
    </div>
  );
}

/** Searches the instances from every page. `/` puts the cursor into it. */
function SearchField() {
  const { parts, query } = useRoute();
  const asked = parts.length === 0 ? (query.get("q") ?? "") : "";
  const [text, setText] = useState(asked);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => setText(asked), [asked]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog");
      if (event.key !== "/" || typing) return;
      event.preventDefault();
      field.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const search = (value: string) => {
    setText(value);
    go(value === "" ? "/" : `/?q=${encodeURIComponent(value)}`, parts.length === 0);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    document.querySelector<HTMLElement>("[role=tree]")?.focus();
  };
  return (
    <search className="search">
      <form onSubmit={submit}>
        <Icon name="search" />
        <input
          ref={field}
          type="search"
          aria-label="Search instances by name, role, model, state or id"
          placeholder="Search instances"
          value={text}
          onChange={(event) => search(event.target.value)}
        />
        <span className="search-key" aria-hidden="true">
          /
        </span>
      </form>
    </search>
  );
}

const CONNECTION_WORDS = { connecting: "Connecting", live: "Live", lost: "Reconnecting" } as const;

function ConnectionSign() {
  const { connection } = useFleet();
  return (
    <span className="connection" data-connection={connection} role="status">
      <span className="connection-dot" aria-hidden="true" />
      <span className="connection-word">{CONNECTION_WORDS[connection]}</span>
    </span>
  );
}

const THEME_WORDS: Record<Theme, string> = { system: "as the system", light: "light", dark: "dark" };

function ThemeSwitch() {
  const [theme, setTheme] = useState(chosenTheme);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
  const change = () => {
    applyTheme(next);
    setTheme(next);
  };
  return (
    <button
      type="button"
      className="button icon-button"
      onClick={change}
      aria-label={`Colours: ${THEME_WORDS[theme]}. Change to ${THEME_WORDS[next]}`}
      title={`Colours: ${THEME_WORDS[theme]}`}
    >
      <Icon name={theme} />
    </button>
  );
}
