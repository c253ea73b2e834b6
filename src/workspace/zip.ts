/** A workspace as a zip archive, made while it is read. Files are stored as they are: what is large is mostly packed already. */
import { Zip, ZipPassThrough } from "fflate";
import type { Node } from "./nodes.ts";
import { streamOf } from "./streams.ts";
import { type Tree, walk } from "./tree.ts";

/** What a segment can't hold where Windows unpacks it: `C:evil.txt` would leave the folder, `a:b` hides in a stream of `a`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
const UNSAFE = /[\\:*?"<>|\u0000-\u001f]/g;
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** Names that every system unpacks to where they say, each once. A folder is asked for before what is in it. */
class ArchiveNames {
  readonly #tree: Tree;
  readonly #given = new Map<string, string>();
  readonly #taken = new Set<string>();

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  of(path: string): string {
    const slash = path.lastIndexOf("/");
    const folder = slash < 0 ? "" : path.slice(0, slash);
    const safe = `${slash < 0 ? "" : `${this.#given.get(folder) ?? folder}/`}${safeName(path.slice(slash + 1))}`;
    let name = safe;
    const isTaken = () => this.#taken.has(name) || (name !== path && this.#tree.at(name) !== undefined);
    for (let again = 2; isTaken(); again++) name = `${safe} (${again})`;
    this.#taken.add(name);
    this.#given.set(path, name);
    return name;
  }
}

function safeName(segment: string): string {
  const plain = segment.replace(UNSAFE, "_").replace(/[. ]+$/, (end) => "_".repeat(end.length));
  return DEVICE.test(plain) ? `_${plain}` : plain;
}

export function zipOf(tree: Tree, root: Node): ReadableStream<Uint8Array> {
  return streamOf(archive(tree, root));
}

async function* archive(tree: Tree, root: Node): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = [];
  const zip = new Zip((error, bytes) => {
    if (error) throw error;
    ready.push(bytes);
  });
  const names = new ArchiveNames(tree);
  for (const { path, node: listed } of walk(tree, "", root.inode, null)) {
    // Others write while an archive is made: what was listed may be another version by now, or gone.
    const node = tree.at(path);
    if (node?.type !== listed.type) continue;
    const entry = new ZipPassThrough(node.type === "dir" ? `${names.of(path)}/` : names.of(path));
    // The format knows no time before 1980.
    entry.mtime = new Date(Math.max(node.mtime, Date.UTC(1980, 0, 2)));
    zip.add(entry);
    if (node.type === "file")
      for await (const chunk of tree.chunks(path, node)) {
        entry.push(chunk);
        yield* ready.splice(0);
      }
    entry.push(new Uint8Array(), true);
    yield* ready.splice(0);
  }
  zip.end();
  yield* ready.splice(0);
}
