/**
 * What an instance may do to whom with its own tools. Every tool says what it does to which ids of its input; one that says nothing is
 * not for instances. Whatever is outside the caller's subtree it may send to (queued, like everybody), and wait for what it sent;
 * nothing else.
 */

import type { OrchestratorApi, Relation, Relations } from "../../contracts/orchestrator.ts";
import type { Speaker } from "../../instance/turn/sender-line.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { isInstanceId, parseMessageId, parseQuestionId } from "../../platform/ids.ts";

/** `sent`: only what the caller sent itself, message by message. */
export type Access = "yes" | "sent" | "no";

type Row = Readonly<Partial<Record<Relation, Exclude<Access, "no">>>>;

const BELOW: Row = { child: "yes", descendant: "yes" };
const SUBTREE: Row = { self: "yes", ...BELOW };

/** What is done, and to whom it may be done. What is not named may not; a job counts as the instance that started it. */
const REACHABLE = {
  /** Gets a child. */
  spawn: SUBTREE,
  /** Gets a message, in its queue. */
  send: { ...BELOW, parent: "yes", sibling: "yes" },
  /** Gets a message that stops or joins its turn, or goes before others. */
  preempt: BELOW,
  /** Its children get a message. */
  broadcast: SUBTREE,
  /** Its rest, or the answer to a message that it was sent, is waited for and read. */
  wait: { ...BELOW, parent: "sent", sibling: "sent" },
  /** Its conversation and the tree below it are read. */
  read: SUBTREE,
  /** Its files are listed and read. */
  read_files: BELOW,
  /** A file goes from or to its workspace. */
  share_files: SUBTREE,
  /** Its question is answered; who may is decided in instance/question-policy.ts. */
  answer: BELOW,
  /** Its turn is stopped. */
  interrupt: BELOW,
  terminate: BELOW,
  /** It plans and merges a job. */
  coordinate: SUBTREE,
  /** It gets the steps of a job. */
  participate: BELOW,
  /** A job of it is read, waited for or cancelled. */
  job: SUBTREE,
} as const satisfies Record<string, Row>;

export type Verb = keyof typeof REACHABLE;

export const VERBS = Object.keys(REACHABLE) as readonly Verb[];

/** What `verb` may be done to an instance that is this to the caller. */
export function accessTo(verb: Verb, relation: Relation): Access {
  const row: Row = REACHABLE[verb];
  return row[relation] ?? "no";
}

/** A call does `verb` to `id`: an instance, or what lives in one. */
export interface Touch {
  verb: Verb;
  id: string;
}

/** The same verb for several ids; undefined ones are left out. */
export function touching(verb: Verb, ...ids: readonly (string | undefined)[]): Touch[] {
  return ids.flatMap((id) => (id === undefined ? [] : [{ verb, id }]));
}

/** What the caller is to those that it touches. Throws `forbidden` for what is out of its reach, in the same words for what is not there. */
export async function assertReachable(
  orchestrator: OrchestratorApi,
  caller: string,
  touches: readonly Touch[],
): Promise<Relations> {
  const homes = [...new Set(touches.map(({ id }) => homeOf(id)))];
  const relations = unwrap(await orchestrator.relations(caller, homes));
  for (const { verb, id } of touches) {
    const access = accessTo(verb, relations.to[homeOf(id)] ?? "stranger");
    // Whose message it is, the object knows that it was sent to, and looks when it is asked (waiting.ts).
    if (access === "yes" || (access === "sent" && parseMessageId(id) !== null)) continue;
    throw outOfReach(verb, id);
  }
  return relations;
}

export function outOfReach(verb: Verb, id: string): MadroxError {
  const shown = id.slice(0, 100).toWellFormed();
  return new MadroxError(
    "forbidden",
    `${shown} is out of reach: ${WHOM[verb]}. get_instance_tree shows what is below you.`,
    { id: shown, verb },
  );
}

const ONLY_BELOW = "this can be done to instances below you";
const ONLY_SUBTREE = "this can be done to you and to instances below you";

const WHOM: Readonly<Record<Verb, string>> = {
  spawn: ONLY_SUBTREE,
  send: "you can send to instances below you, to your parent and to your siblings",
  preempt:
    "only instances below you can be steered, interrupted or sent to with a priority. To others send with when_busy queue and without a priority",
  broadcast: ONLY_SUBTREE,
  wait: "you can wait for instances below you and for what you sent yourself",
  read: ONLY_SUBTREE,
  read_files: ONLY_BELOW,
  share_files: ONLY_SUBTREE,
  answer: ONLY_BELOW,
  interrupt: ONLY_BELOW,
  terminate: ONLY_BELOW,
  coordinate: ONLY_SUBTREE,
  participate: ONLY_BELOW,
  job: "jobs are for whoever started them, and for those above",
};

/** The object that an id lives in. What is no id of ours stays as it is, and is nobody's. */
export function homeOf(id: string): string {
  return isInstanceId(id) ? id : ((parseMessageId(id) ?? parseQuestionId(id))?.instanceId ?? id);
}

/** What the caller is to somebody it may talk to. */
export function relationTo(relations: Relations, other: string): Speaker | null {
  switch (relations.to[other]) {
    case "child":
      return "parent";
    case "descendant":
      return "ancestor";
    case "parent":
      return "child";
    case "ancestor":
      return "descendant";
    case "sibling":
      return "sibling";
    default:
      return null;
  }
}
