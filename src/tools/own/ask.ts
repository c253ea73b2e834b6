import * as z from "zod";
import type { InstanceTool } from "../../contracts/instance-tool.ts";
import { instanceOf } from "../../contracts/stubs.ts";
import { titleOf } from "../../instance/turn/sender-line.ts";
import { unwrap } from "../../platform/errors.ts";
import { prose, text } from "../runtime/fields.ts";
import { ownTool } from "./own-tool.ts";

export const ask: InstanceTool = ownTool({
  name: "ask",
  description:
    "Ask your parent instance or the person a question that your work depends on, and wait for the answer; waiting costs nothing. Ask everything at once, and say what you would do by default.",
  preset: "read_only",
  powers: ["message", "spend"],
  // A person who is asked decides for themselves: there is nothing to guard.
  powersFor: ({ to }) => (to === "parent" ? ["message", "spend"] : []),
  input: z.strictObject({
    question: prose().max(20_000).describe("The question, with all that is needed to answer it"),
    to: z.enum(["parent", "human"]).default("human").describe("Who is to answer"),
    options: z.array(prose().max(500)).max(20).default([]).describe("The possible answers, if there are only these"),
    default_answer: text().max(5_000).optional().describe("What holds if nobody answers in time"),
    expires_in_minutes: z
      .number()
      .positive()
      .max(43_200)
      .optional()
      .describe("How long to wait. Default: until answered"),
  }),
  async run(input, context) {
    const toParent = input.to === "parent";
    if (toParent && context.parentId === null)
      throw new Error("You have no parent instance. Ask the human, or decide yourself and say how.");
    const parentId = toParent ? context.parentId : null;
    const expiresAt =
      input.expires_in_minutes === undefined ? null : context.startedAt + input.expires_in_minutes * 60_000;
    const question = context.ask({
      kind: "question",
      to: parentId,
      text: input.question,
      options: input.options,
      defaultAnswer: input.default_answer ?? null,
      expiresAt,
    });
    if (question.state === "answered") {
      const who = question.by === null || question.by === "user" ? "The human" : `The instance ${question.by}`;
      return { content: `${who} answered: ${question.answer}` };
    }
    if (question.state !== "open") {
      return question.answer === null
        ? { content: "Nobody answered in time. Decide yourself, and say what you assumed.", isError: true }
        : { content: `Nobody answered in time, so the default holds: ${question.answer}` };
    }
    if (parentId !== null) {
      const choice = input.options.length > 0 ? ` Its answer has to be one of: ${input.options.join(" | ")}.` : "";
      unwrap(
        await instanceOf(context.env, context.tenant, parentId).send({
          message: `It asks (question ${question.id}) and waits. Answer with answer_question.${choice}\n\n${input.question}`,
          sender: context.instanceId,
          sender_title: titleOf(context.name, context.instanceId, "child"),
          priority: 0,
          when_busy: "steer",
          response_schema: null,
          job: context.job,
          trace: context.trace ?? null,
          idempotency: { key: `ask:${context.key}`, body_hash: "ask" },
        }),
      );
    }
    return {
      waitpoint: {
        reason: parentId === null ? "an answer" : "an answer of its parent",
        ids: [question.id],
        needed: 1,
        until: expiresAt,
        wakeEarly: false,
      },
    };
  },
});
