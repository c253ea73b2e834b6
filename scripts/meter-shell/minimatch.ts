/**
 * In the place of `minimatch` in the metered shell, which makes backtracking expressions of patterns. Only `ls` asks it, for a
 * pattern that matched nothing before: `*` and `?` within names, in time at most the product of both lengths.
 */
export function minimatch(path: string, pattern: string): boolean {
  const names = path.split("/");
  const parts = pattern.split("/");
  return names.length === parts.length && parts.every((part, i) => nameFits(part, names[i] ?? ""));
}

/** Two pointers and one point to go back to: the last star is the only one that matters. */
function nameFits(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let from = 0;
  while (n < name.length) {
    if (pattern[p] === "*") {
      star = p++;
      from = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++from;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
