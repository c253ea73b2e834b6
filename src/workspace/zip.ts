/** A workspace as a zip archive, made while it is read. Files are stored as they are: what is large is mostly packed already. */
import { Zip, ZipPassThrough } from "fflate";
import type { Node } from "./nodes.ts";
import { streamOf } from "./streams.ts";
import { type Tree, walk } from "./tree.ts";

export function zipOf(tree: Tree, root: Node): ReadableStream<Uint8Array> {
  return streamOf(archive(tree, root));
}

async function* archive(tree: Tree, root: Node): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = [];
  const zip = new Zip((error, bytes) => {
    if (error) throw error;
    ready.push(bytes);
  });
  for (const { path, node: listed } of walk(tree, "", root.inode, null)) {
    // Others write while an archive is made: what was listed may be another version by now, or gone.
    const node = tree.at(path);
    if (node?.type !== listed.type) continue;
    const entry = new ZipPassThrough(node.type === "dir" ? `${path}/` : path);
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
