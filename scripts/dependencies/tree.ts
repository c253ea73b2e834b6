/**
 * A tree of installed packages, as npm writes it into a lock file: which versions are in it, and what pins them.
 */

/** What is read of a package in a lock file. */
export interface LockedPackage {
  /** Where it is not what the folder says: an alias. */
  name?: string;
  version?: string;
  integrity?: string;
  license?: string;
  optional?: boolean;
  link?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

/** Packages by the folder that they lie in; the project itself at "". */
export type Tree = Readonly<Record<string, LockedPackage>>;

/** npm's `overrides`: a version by name, or what holds for the one of that name and below it; "." is its own version. */
export type Overrides = { [name: string]: string | Overrides };

/** A package in the record, by `name@version`. */
export interface Recorded {
  license: string;
  integrity: string;
  /** It may be missing: npm leaves it out where it can't be built, or is not needed. */
  optional?: true;
}

/** The record of a tree, without what is for one platform alone: those have the exact version of the package that they are of. */
export function recordOf(tree: Tree): Record<string, Recorded> {
  const record: Record<string, Recorded> = {};
  for (const [folder, locked] of Object.entries(tree)) {
    if (folder === "" || locked.link || isForOnePlatform(locked)) continue;
    const key = `${nameOf(folder, locked)}@${locked.version}`;
    const { license = "unknown", integrity = "" } = locked;
    const known = record[key];
    const optional = locked.optional && (known === undefined || known.optional);
    record[key] = { license, integrity, ...(optional ? { optional } : {}) };
  }
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What one package asks of another, and gets in this tree. */
interface Edge {
  /** The folders of the two. */
  from: string;
  to: string;
  name: string;
  range: string;
  version: string;
}

function edgesOf(tree: Tree): Edge[] {
  return Object.entries(tree).flatMap(([from, locked]) => {
    if (from === "") return [];
    return Object.entries(asksFor(locked)).flatMap(([name, range]) => {
      const to = resolved(tree, from, name);
      return to === null ? [] : [{ from, to, name, range, version: versionOf(to, tree[to] ?? {}) }];
    });
  });
}

/** The edges that a newer version could satisfy. What the project itself depends on is exact, and does for whoever takes it too. */
function floatsOf(tree: Tree): Edge[] {
  const own = { ...tree[""]?.dependencies, ...tree[""]?.devDependencies };
  return edgesOf(tree).filter(({ name, range, version }) => !isExact(range) && own[name] !== version);
}

/** All edges in words, those to packages for one platform aside: two trees with the same are the same to whoever runs them. */
export function wiringOf(tree: Tree): string[] {
  const said = (folder: string) => `${folderName(folder)}@${tree[folder]?.version}`;
  const edges = edgesOf(tree).filter(
    ({ from, to }) => ![from, to].some((folder) => isForOnePlatform(tree[folder] ?? {})),
  );
  return [...new Set(edges.map(({ from, name, version }) => `${said(from)} gets ${name}@${version}`))].sort();
}

/**
 * An override for every edge that floats: for all where the tree has one version of a package, else for the one that asks. npm
 * has what holds for one hold for everything below it too, unless that has an entry of its own there.
 */
export function overridesOf(tree: Tree): Overrides {
  const edges = edgesOf(tree);
  const versions = new Map<string, Set<string>>();
  for (const [folder, locked] of Object.entries(tree)) {
    const name = folderName(folder);
    versions.set(name, (versions.get(name) ?? new Set()).add(versionOf(folder, locked)));
  }
  const isAlone = (name: string) => versions.get(name)?.size === 1;
  const keyOf = (folder: string) =>
    isAlone(folderName(folder)) ? folderName(folder) : `${folderName(folder)}@${tree[folder]?.version}`;

  const everywhere: Record<string, string> = {};
  const within: Record<string, Edge[]> = {};
  for (const edge of floatsOf(tree)) {
    if (isAlone(edge.name)) everywhere[edge.name] = edge.version;
    else within[keyOf(edge.from)] = [...(within[keyOf(edge.from)] ?? []), edge];
  }

  const block = (key: string, above: readonly string[]): Overrides => {
    const pins: Overrides = {};
    if (above.includes(key)) return pins;
    const pinOf = ({ to, version }: Edge) => {
      const inner = block(keyOf(to), [...above, key]);
      return Object.keys(inner).length > 0 ? { ".": version, ...inner } : version;
    };
    for (const edge of within[key] ?? []) pins[edge.name] = pinOf(edge);
    // Below it there may be one that gets another version of the same, and has no entry to say so.
    const below = belowOf(
      edges,
      Object.keys(tree).filter((folder) => folder !== "" && keyOf(folder) === key),
    );
    for (const edge of edges) {
      const { from, name, version } = edge;
      if (!below.has(from) || pins[name] === undefined || versionIn(pins[name]) === version) continue;
      const asking = pins[folderName(from)] === undefined ? keyOf(from) : folderName(from);
      const isElsewhere = everywhere[keyOf(from)] !== undefined || within[keyOf(from)] !== undefined;
      const entry = pins[asking];
      if (entry === undefined && isElsewhere) continue;
      const own = typeof entry === "object" ? entry : { ".": versionOf(from, tree[from] ?? {}) };
      pins[asking] = { ...own, [name]: pinOf(edge) };
    }
    return sorted(pins);
  };

  const blocks = Object.keys(within).map((key) => {
    const outer = everywhere[key];
    return [key, { ...(outer ? { ".": outer } : {}), ...block(key, []) }] as const;
  });
  return sorted({ ...everywhere, ...Object.fromEntries(blocks) });
}

/** The edges of a tree that nothing in these overrides holds at the version that they have. */
export function unpinned(tree: Tree, overrides: Overrides): string[] {
  return floatsOf(tree).flatMap(({ from, name, version }) => {
    const asking = folderName(from);
    const entries = [overrides[asking], overrides[`${asking}@${tree[from]?.version}`]];
    const pins = [overrides[name], ...entries.map((entry) => (typeof entry === "object" ? entry[name] : undefined))];
    return pins.some((pin) => pin !== undefined && versionIn(pin) === version)
      ? []
      : [`${name}, which ${asking} asks for, is not pinned to ${version}`];
  });
}

function versionIn(pin: string | Overrides): string | undefined {
  return typeof pin === "string" ? pin : versionIn(pin["."] ?? "");
}

/** The folders that can be reached from these, without them. */
function belowOf(edges: readonly Edge[], folders: readonly string[]): Set<string> {
  const reached = new Set(folders);
  for (const folder of reached) for (const { from, to } of edges) if (from === folder) reached.add(to);
  for (const folder of folders) reached.delete(folder);
  return reached;
}

/**
 * What is in one record and not in the other, in words. `installed` may lack what is optional, and hashes: npm keeps those of
 * what it has just fetched, and not of what was there before.
 */
export function differences(recorded: Record<string, Recorded>, installed: Record<string, Recorded>): string[] {
  const missing = Object.entries(recorded).filter(([key, { optional }]) => !optional && !installed[key]);
  const others = Object.entries(installed).flatMap(([key, { license, integrity }]) => {
    const known = recorded[key];
    if (!known) return [`${key} is installed, and not recorded`];
    return [
      ...(known.license === license ? [] : [`${key} has the licence ${license}, and not ${known.license}`]),
      ...(integrity === "" || known.integrity === integrity
        ? []
        : [`${key} has other content than the one that was recorded`]),
    ];
  });
  return [...missing.map(([key]) => `${key} is recorded, and not installed`), ...others];
}

function asksFor(locked: LockedPackage): Record<string, string> {
  return { ...locked.peerDependencies, ...locked.optionalDependencies, ...locked.dependencies };
}

/** The folder in which a package finds another: its own node_modules, or the next one above. */
function resolved(tree: Tree, from: string, name: string): string | null {
  for (let folder = from; ; ) {
    const there = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (tree[there]) return there;
    if (folder === "") return null;
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules/") - 1));
  }
}

/** A range that one version alone satisfies, or no range: an address. */
function isExact(range: string): boolean {
  return /^=?\d+\.\d+\.\d+([-+][\w.+-]+)?$/.test(range) || (range.includes(":") && !range.startsWith("npm:"));
}

function isForOnePlatform({ os, cpu, libc }: LockedPackage): boolean {
  return Boolean(os || cpu || libc);
}

function folderName(folder: string): string {
  return folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);
}

function nameOf(folder: string, locked: LockedPackage): string {
  return locked.name ?? folderName(folder);
}

/** A version as a range that nothing else satisfies, through an alias where there is one. */
function versionOf(folder: string, locked: LockedPackage): string {
  const name = nameOf(folder, locked);
  return name === folderName(folder) ? String(locked.version) : `npm:${name}@${locked.version}`;
}

function sorted<T>(of: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));
}
