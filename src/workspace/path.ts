/**
 * The one place where a path from outside becomes a path of a workspace. A normalised path is relative to the workspace's
 * root, POSIX, NFC, and has no segment that means anything but a name; so joining it to a root can't leave the root.
 */
import { MadroxError } from "../platform/errors.ts";

/** Bytes of UTF-8, at most: the limit of R2's keys, with room for the prefix left out. */
const MAX_PATH_BYTES = 1_024 - 128;
/** As in every common file system, so that what is downloaded can be unpacked. */
const MAX_NAME_BYTES = 255;
/** Each level is a folder that counts against the quota of files. */
const MAX_LEVELS = 64;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

const encoder = new TextEncoder();

/**
 * The normalised path of a file. `./` and a repeated `.` are dropped; percent signs and device names are just characters.
 * Throws `invalid_input`: for an empty path, an absolute one, `..`, empty segments (a trailing slash too), backslashes,
 * control characters, lone surrogates, characters that look like those (NFKC folds them to `..`, `/` or `\`), and for
 * paths that are too long or too deep.
 */
export function filePath(path: string): string {
  const segments = segmentsOf(path);
  if (segments.length === 0) throw refused(path, "it names no file");
  return segments.join("/");
}

/** The same for a folder: `""`, `.` and `/` are the workspace itself, and one trailing slash may stand. */
export function folderPath(path: string): string {
  return segmentsOf(path === "/" ? "" : path.replace(/(?<=[^/])\/$/, "")).join("/");
}

function segmentsOf(path: string): string[] {
  if (!path.isWellFormed()) throw refused(path, "it is no valid Unicode (it holds a lone surrogate)");
  if (CONTROL.test(path)) throw refused(path, "it holds control characters");
  if (path.includes("\\")) throw refused(path, "folders are separated by /, and no name holds a backslash");
  if (path.startsWith("/")) throw refused(path, "paths are relative to the workspace: leave the first / out");
  const normal = path.normalize("NFC");
  const bytes = encoder.encode(normal).length;
  if (bytes > MAX_PATH_BYTES) throw refused(path, `it has ${bytes} bytes, and at most ${MAX_PATH_BYTES} are taken`);
  if (normal === "") return [];
  const segments: string[] = [];
  for (const segment of normal.split("/")) {
    if (segment === "") throw refused(path, "it has an empty segment");
    if (segment === ".") continue;
    const folded = segment.normalize("NFKC");
    if (/^\.{2,}$/.test(segment) || folded === "." || folded === ".." || /[/\\]/.test(folded)) {
      throw refused(path, "no segment may lead out of its folder or look like it");
    }
    if (encoder.encode(segment).length > MAX_NAME_BYTES) {
      throw refused(path, `a name has at most ${MAX_NAME_BYTES} bytes`);
    }
    segments.push(segment);
  }
  if (segments.length > MAX_LEVELS) throw refused(path, `it is more than ${MAX_LEVELS} levels deep`);
  return segments;
}

function refused(path: string, why: string): MadroxError {
  const shown = JSON.stringify(path.slice(0, 80).toWellFormed());
  return new MadroxError("invalid_input", `${shown} is no path here: ${why}. Write it like src/app.ts.`, {
    field: "path",
  });
}
