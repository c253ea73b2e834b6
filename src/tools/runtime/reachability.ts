/**
 * What an instance may touch through its own tools: itself and what is below it; its parent and siblings only to talk to them.
 * Every tool says which ids of its input have to be where. One that says nothing is not for instances.
 */

import type { Kin, Kinship, OrchestratorApi } from "../../contracts/orchestrator.ts";
import type { Relation } from "../../instance/store/sender-line.ts";
import { MadroxError, unwrap } from "../../platform/errors.ts";
import { isInstanceId, parseMessageId, parseQuestionId } from "../../platform/ids.ts";

/** Ids (of instances, or of what lives in one) that a call touches, by how near they have to be. */
export interface Reach {
  /** The caller, or below it. */
  within?: readonly string[];
  /** Below the caller. */
  below?: readonly string[];
  /** Below the caller, its parent, or its sibling. */
  near?: readonly string[];
}

const ALLOWED: { readonly [Where in keyof Reach]-?: readonly Kinship[] } = {
  within: ["self", "child", "descendant"],
  below: ["child", "descendant"],
  near: ["child", "descendant", "parent", "sibling"],
};

const PLACE: { readonly [Where in keyof Reach]-?: string } = {
  within: "you and the instances below you",
  below: "the instances below you",
  near: "the instances below you, your parent and your siblings",
};

/** Who the caller is to what it touches. Throws `forbidden` for what is out of its reach. */
export async function assertReachable(orchestrator: OrchestratorApi, caller: string, reach: Reach): Promise<Kin> {
  const asked = (Object.keys(ALLOWED) as (keyof Reach)[]).flatMap((where) =>
    (reach[where] ?? []).map((id) => ({ id, where, home: homeOf(id) })),
  );
  const homes = [...new Set(asked.map(({ home }) => home))];
  const kin = unwrap(await orchestrator.kin(caller, homes));
  for (const { id, where, home } of asked) {
    if (ALLOWED[where].includes(kin.kinships[home] ?? "stranger")) continue;
    throw new MadroxError(
      "forbidden",
      `${id.slice(0, 100).toWellFormed()} is out of reach: this tool reaches ${PLACE[where]}. get_instance_tree shows them.`,
      { id: id.slice(0, 100).toWellFormed() },
    );
  }
  return kin;
}

/** The object that an id lives in. What is no id of ours stays as it is, and is nobody's. */
export function homeOf(id: string): string {
  return isInstanceId(id) ? id : ((parseMessageId(id) ?? parseQuestionId(id))?.instanceId ?? id);
}

/** What the caller is to somebody it may talk to. */
export function relationTo(kin: Kin, other: string): Relation | null {
  switch (kin.kinships[other]) {
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
