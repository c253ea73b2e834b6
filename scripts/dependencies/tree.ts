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

/** npm's `overrides`: a version by name, or by the name of what asks for it. */
export type Overrides = Record<string, string | Record<string, string>>;

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

/** A range in a tree that a newer version could satisfy, and the version that it has there. */
interface Float {
  /** The package that asks. */
  asking: { name: string; version: string };
  name: string;
  version: string;
}

/** What the project itself depends on is exact, and does for whoever takes the same version. */
function floatsOf(tree: Tree): Float[] {
  const own = { ...tree[""]?.dependencies, ...tree[""]?.devDependencies };
  return Object.entries(tree).flatMap(([folder, locked]) => {
    if (folder === "") return [];
    const asking = { name: folderName(folder), version: String(locked.version) };
    return Object.entries(asksFor(locked)).flatMap(([name, range]) => {
      const found = resolved(tree, folder, name);
      if (found === null || isExact(range)) return [];
      const version = versionOf(found, tree[found] ?? {});
      return own[name] === version ? [] : [{ asking, name, version }];
    });
  });
}

/** An override for every range that floats: for all where the tree has one version of a package, else for the one that asks. */
export function overridesOf(tree: Tree): Overrides {
  const versions = new Map<string, Set<string>>();
  for (const [folder, locked] of Object.entries(tree)) {
    const name = folderName(folder);
    versions.set(name, (versions.get(name) ?? new Set()).add(versionOf(folder, locked)));
  }
  const isAlone = (name: string) => versions.get(name)?.size === 1;
  const everywhere: Record<string, string> = {};
  const within: Record<string, Record<string, string>> = {};
  for (const { asking, name, version } of floatsOf(tree)) {
    if (isAlone(name)) {
      everywhere[name] = version;
      continue;
    }
    const key = isAlone(asking.name) ? asking.name : `${asking.name}@${asking.version}`;
    within[key] = { ...within[key], [name]: version };
  }
  const nested = Object.entries(within).map(([name, inner]) => {
    const outer = everywhere[name];
    return [name, { ...(outer ? { ".": outer } : {}), ...sorted(inner) }] as const;
  });
  return sorted({ ...everywhere, ...Object.fromEntries(nested) });
}

/** The ranges of a tree that nothing in these overrides holds at the version that they have. */
export function unpinned(tree: Tree, overrides: Overrides): string[] {
  const pinOf = (key: string, name: string) => {
    const entry = overrides[key];
    return typeof entry === "object" ? entry[name] : name === "." ? entry : undefined;
  };
  return floatsOf(tree).flatMap(({ asking, name, version }) => {
    const keys = [asking.name, `${asking.name}@${asking.version}`];
    const isPinned = [pinOf(name, "."), ...keys.map((key) => pinOf(key, name))].includes(version);
    return isPinned ? [] : [`${name}, which ${asking.name} asks for, is not pinned to ${version}`];
  });
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
