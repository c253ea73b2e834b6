/**
 * For each command of the shell, a call that costs it much: of one size or of another, to see how its work grows. Beside the
 * commands stand the constructs of the language that work on text. What they find: `long`, a file of one line; `lines` and
 * `other`, files of many lines; `$x`, a text as long as `long`; `json`, nested and long; `tree/`, folders with files.
 */

/** An expression that takes a backtracking engine for ever, and RE2 a program of some 1,900 instructions. */
const PATTERN = "(a{1,30}){1,30}b";

export const HOSTILE: Readonly<Record<string, string>> = {
  alias: 'alias a="$x"; alias a',
  awk: `awk '/${PATTERN}/' long`,
  base64: "base64 lines | base64 -d",
  basename: 'basename "$x/$x" "$x"',
  bash: 'bash -c "$x"',
  cat: "cat -n lines long",
  chmod: 'chmod "$x" long',
  clear: 'clear "$x"',
  column: "column -t lines",
  comm: "comm lines other",
  cp: "cp -r tree copy",
  cut: "cut -c2- long lines",
  date: 'date -d "$x" "+$x"',
  diff: "diff lines other",
  dirname: 'dirname "$x/$x"',
  du: "du -a tree",
  echo: 'echo -e "$x\\\\n$x"',
  egrep: `egrep '${PATTERN}' long`,
  env: 'env X="$x" env',
  expand: "expand long lines",
  expr: `expr "$x" : '\\(a\\{1,30\\}\\)\\{1,30\\}b'`,
  false: 'false "$x"',
  fgrep: "fgrep -f other lines",
  file: "file long lines",
  find: `find tree -regex '.*${PATTERN}' -o -name '*a*a*a*a*b'`,
  fold: "fold -s -w 7 long lines",
  grep: `grep -E '${PATTERN}' long`,
  gunzip: "gzip -c lines > z.gz; gunzip -c z.gz",
  gzip: "gzip -c long lines",
  head: "head -n -1 lines long",
  help: 'help "$x"',
  history: 'history "$x"',
  hostname: 'hostname "$x"',
  join: "join lines lines",
  jq: `jq '.. | select(type == "string") | test("${PATTERN}")' json`,
  ln: 'ln -s "$x" there',
  ls: "ls -laR tree",
  md5sum: "md5sum long lines",
  mkdir: 'mkdir -p "$x"',
  mv: "mv tree moved; ls moved",
  nl: "nl -ba lines long",
  node: 'node -e "$x"',
  od: "od -c long",
  paste: "paste lines other long",
  printenv: 'X="$x" printenv X',
  printf: 'printf "%s%-100000d" "$x" 7',
  pwd: 'pwd "$x"',
  readlink: 'readlink -f "$x"',
  rev: "rev long lines",
  rg: `rg '${PATTERN}' .`,
  rm: 'rm -rf tree "$x"',
  rmdir: 'rmdir "$x"',
  sed: `sed -E 's/${PATTERN}/c/g' long`,
  seq: "seq -s , 1 9999",
  sh: 'sh -c "echo $x"',
  sha1sum: "sha1sum long lines",
  sha256sum: "sha256sum long lines",
  sleep: 'sleep "$x"',
  sort: "sort -k2 -n lines other long",
  split: "split -l 50 lines part",
  stat: 'stat long "$x"',
  strings: "strings -n 1 long lines",
  tac: "tac lines long",
  tail: "tail -n +2 lines long",
  tee: "tee copy < lines",
  time: `time grep -E '${PATTERN}' long`,
  timeout: `timeout 5 grep -E '${PATTERN}' long`,
  touch: 'touch "$x"',
  tr: "tr -cs 'a-z' 'A-Z' < lines",
  tree: "tree -a tree",
  true: 'true "$x"',
  unalias: 'unalias "$x"',
  unexpand: "unexpand -a lines long",
  uniq: "uniq -c lines",
  wc: "wc lines long",
  which: 'which "$x"',
  whoami: 'whoami "$x"',
  xargs: "xargs -n 50 echo < lines",
  zcat: "gzip -c lines > z.gz; zcat z.gz",
};

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the shell's own
export const HOSTILE_CONSTRUCTS: Readonly<Record<string, string>> = {
  "[[ =~ ]]": `[[ $x =~ ${PATTERN} ]]`,
  "[[ == ]]": "[[ $x == *a*a*a*a*a*b ]]",
  case: "case $x in *a*a*a*a*b) echo;; esac",
  "${x//}": "y=${x//+(a|aa)b/c}",
  "${x##}": "y=${x##*a*a*b}",
  "$(( ))": 'echo $(( ${#x} ** 9 )); (( y = 1$(printf "+1%.0s" {1..2000}) ))',
  "{ , }": "echo {1..99}{1..99}",
  "*": "echo tree/*/*a*a*b",
  read: "while read -r a b; do :; done < lines",
  mapfile: 'mapfile -t all < lines; echo "${#all[@]}"',
  eval: 'eval "$(cat lines)" 2> /dev/null',
  function: "f() { f; }; f",
  test: '[ "$x" = "$x$x" ]',
};
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the shell's own

/** What the calls find, of about so many bytes a file: files by their path, and `$x`. */
export function hostileFiles(bytes: number): { files: Record<string, string>; text: string } {
  const text = "a".repeat(bytes);
  const count = Math.floor(bytes / 20);
  const lines = (factor: number) =>
    Array.from({ length: count }, (_, i) => `word${(i * factor) % 997} ${i % 13}\t${"x".repeat(i % 10)}`).join("\n");
  const files: Record<string, string> = {
    long: text,
    lines: lines(7919),
    other: lines(104_729),
    json: `${"[".repeat(40)}"${text}"${"]".repeat(40)}`,
  };
  for (let i = 0; i < bytes / 200; i++) files[`tree/${i % 10}/${"a".repeat(30)}${i}`] = "";
  return {
    files: Object.fromEntries(Object.entries(files).map(([path, content]) => [`/workspace/${path}`, content])),
    text,
  };
}
