/**
 * Where a workspace is, seen from a shell or a program: everything below one folder.
 */

/** The folder that is the workspace, and the home folder. */
export const ROOT = "/workspace";

/** The absolute path of `path` as seen from `folder`. `..` stops at the root. */
export function absolutePath(folder: string, path: string): string {
  const segments: string[] = [];
  for (const segment of (path.startsWith("/") ? path : `${folder}/${path}`).split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}`;
}

/** The path in the workspace (`""` is the workspace itself), or null for one that is not in it. */
export function inWorkspace(absolute: string): string | null {
  if (absolute === ROOT) return "";
  return absolute.startsWith(`${ROOT}/`) ? absolute.slice(ROOT.length + 1) : null;
}
