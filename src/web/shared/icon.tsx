/**
 * The page's few drawings. All stand beside words, so readers of the screen are not told of them.
 */
const PATHS = {
  fleet: "M12 4v5M12 9H6v4M12 9h6v4M4 13h4v5H4zM16 13h4v5h-4zM10 3h4v3h-4z",
  question: "M9 9.2a3 3 0 1 1 4.4 2.6c-.9.5-1.4 1-1.4 2.2M12 17.4v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  job: "M5 6h5v5H5zM14 13h5v5h-5zM10 8.5h3.5a2 2 0 0 1 2 2V13",
  spend: "M4 20h16M6.5 16v-5M12 16V5M17.5 16V9",
  events: "M5 6h14M5 12h14M5 18h9",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  plus: "M12 5v14M5 12h14",
  refresh: "M19 12a7 7 0 1 1-2.2-5.100M17 3v4h-4",
  expand: "M14 5h5v5M10 19H5v-5M19 5l-6 6M5 19l6-6",
  collapse: "M19 10h-5V5M5 14h5v5M14 10l6-6M10 14l-6 6",
  close: "M6 6l12 12M18 6 6 18",
  chevron: "M9 6l6 6-6 6",
  send: "M5 12h13M12 6l6 6-6 6",
  stop: "M7 7h10v10H7z",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  tool: "M14.5 5.5a4 4 0 0 0-5 5L4 16l4 4 5.500-5.500a4 4 0 0 0 5-5L16 12l-3-1-1-3z",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500 19 19M19 5l-1.500 1.500M6.500 17.500 5 19",
  dark: "M20 14.500A8 8 0 0 1 9.500 4a8 8 0 1 0 10.500 10.500z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** One among many, all the same: the server's sign. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 40 24" aria-hidden="true" focusable="false">
      <circle cx="12" cy="12" r="9" />
      <circle cx="20" cy="12" r="9" />
      <circle cx="28" cy="12" r="9" />
    </svg>
  );
}
