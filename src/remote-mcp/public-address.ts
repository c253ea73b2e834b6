/**
 * Which addresses a remote server may have: those of the public internet. What stands in a private network, or on the machine
 * itself, trusts whoever can reach it, and callers of this server are not meant to.
 *
 * This judges the URL alone. A Worker can't look names up, so a public name that points to a private address is not found
 * here; a deployed Worker reaches no private network in any case (`global_fetch_strictly_public`).
 */

/** Why a server can't be at this URL, as the end of a sentence, or null. */
export function addressProblem(text: string, allowPrivate: boolean): string | null {
  if (text.length > 2_000) return "it has more than 2,000 characters";
  if (!URL.canParse(text)) return "it is no URL";
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return "only https and http are spoken";
  if (url.username !== "" || url.password !== "") return "it carries credentials. Give them as authorization_token";
  if (allowPrivate) return null;
  // The URL parser has already brought every spelling of an IPv4 address (octal, hexadecimal, one number) to dotted form.
  const host = url.hostname.replace(/\.+$/, "").toLowerCase();
  if (url.protocol !== "https:") return "a public server is reached by https";
  if (host.startsWith("[")) return isPublicV6(host.slice(1, -1)) ? null : PRIVATE;
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host);
  if (v4) return isPublicV4(v4.slice(1).map(Number)) ? null : PRIVATE;
  const labels = host.split(".");
  if (labels.includes("")) return "its host is no name";
  if (labels.length < 2 || LOCAL_NAMES.has(labels.at(-1) ?? "") || host.endsWith(".home.arpa")) return PRIVATE;
  return null;
}

const PRIVATE = "it is a private or local address";

/** Top-level names that are never public. */
const LOCAL_NAMES: ReadonlySet<string> = new Set([
  "localhost",
  "local",
  "localdomain",
  "internal",
  "intranet",
  "lan",
  "home",
  "corp",
  "private",
  "test",
  "invalid",
  "example",
  "onion",
  "arpa",
]);

/** Blocks of IPv4 that are not public (IANA's special-purpose registry): the first octets, and how many bits count. */
const RESERVED_V4: readonly [octets: readonly number[], bits: number][] = [
  [[0], 8],
  [[10], 8],
  [[100, 64], 10],
  [[127], 8],
  [[169, 254], 16],
  [[172, 16], 12],
  [[192, 0, 0], 24],
  [[192, 0, 2], 24],
  [[192, 88, 99], 24],
  [[192, 168], 16],
  [[198, 18], 15],
  [[198, 51, 100], 24],
  [[203, 0, 113], 24],
  [[224], 4],
  [[240], 4],
];

function isPublicV4(octets: readonly number[]): boolean {
  const number = (parts: readonly number[]) => [0, 1, 2, 3].reduce((value, i) => value * 256 + (parts[i] ?? 0), 0);
  const address = number(octets);
  return !RESERVED_V4.some(([block, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(number(block) / size);
  });
}

/** Only 2000::/3 is public, and in it not what carries an IPv4 address or is set apart. */
function isPublicV6(host: string): boolean {
  const groups = groupsOf(host);
  const [first = 0, second = 0] = groups;
  if (first < 0x2000 || first > 0x3fff) return false;
  if (first === 0x2002) return false; // 6to4
  if (first === 0x2001 && (second < 0x0200 || second === 0x0db8)) return false; // Teredo, benchmarks, documentation
  return first !== 0x3fff || second > 0x0fff;
}

/** The eight groups of an address as the URL parser writes it: no zone, no dotted part. */
function groupsOf(host: string): number[] {
  const [head = "", tail] = host.split("::");
  const parse = (part: string) =>
    part
      .split(":")
      .filter(Boolean)
      .map((group) => Number.parseInt(group, 16));
  const start = parse(head);
  const end = tail === undefined ? [] : parse(tail);
  return [...start, ...new Array<number>(Math.max(0, 8 - start.length - end.length)).fill(0), ...end];
}
