import * as z from "zod";
import type { TreeNode } from "../contracts/records.ts";
import { unwrap } from "../platform/errors.ts";
import { instanceId } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool, READS } from "./runtime/tool.ts";

/** Instances in one answer, unless asked for more, and at most. */
const USUAL_NODES = 500;
const MAX_NODES = 5_000;

export const getInstanceTree = defineTool({
  name: "get_instance_tree",
  title: "See the tree of instances",
  description:
    "Who belongs to whom: each instance with its state, role, cost (its own, and with everything below it) and what it waits for; also as text.",
  annotations: READS,
  changes: false,
  powers: ["read"],
  scope: "read",
  input: z.strictObject({
    root_id: instanceId.optional().describe("The top of the tree. Default: all that have no parent"),
    depth: z.int().min(0).max(20).default(10).describe("Levels below the top"),
    limit: z.int().min(1).max(MAX_NODES).default(USUAL_NODES).describe("Instances in the answer: the uppermost ones"),
    terminated: z.boolean().default(false).describe("Whether to show terminated instances too"),
  }),
  output: answer({ tree: z.array(z.looseObject({})), text: z.string(), count: z.int(), truncated: z.boolean() }),
  forInstances: { touches: (input) => touching("read", input.root_id) },
  async run(context, input) {
    const root = input.root_id ?? context.principal.instance;
    const { roots, count, truncated } = unwrap(
      await context.orchestrator.tree({
        root_id: root,
        depth: input.depth,
        limit: input.limit,
        terminated: input.terminated,
      }),
    );
    return {
      success: true,
      message: `${count} instance${count === 1 ? "" : "s"}${truncated ? ", and more further down: ask with a root_id" : ""}.`,
      tree: roots,
      text: treeText(roots),
      count,
      truncated,
    };
  },
});

/** One line an instance, indented below its parent. */
function treeText(nodes: readonly TreeNode[], indent = ""): string {
  return nodes
    .map((node) => {
      const waits = node.waiting_for ? `, waits for ${node.waiting_for}` : "";
      const asks = node.open_questions
        ? `, ${node.open_questions} open question${node.open_questions === 1 ? "" : "s"}`
        : "";
      const cost = `$${node.cost.toFixed(4)}${node.children.length > 0 ? ` (with all below it $${node.subtree_cost.toFixed(4)})` : ""}`;
      const line = `${indent}${node.name} [${node.role}] ${node.state}${waits}${asks}, ${cost}${node.simulated ? " (simulated)" : ""}, ${node.instance_id}`;
      return node.children.length === 0 ? line : `${line}\n${treeText(node.children, `${indent}  `)}`;
    })
    .join("\n");
}
