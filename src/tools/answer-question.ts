import * as z from "zod";
import { originOf } from "../contracts/request-origin.ts";
import { MadroxError, unwrap } from "../platform/errors.ts";
import { parseQuestionId } from "../platform/ids.ts";
import { idempotencyKey, prose } from "./runtime/fields.ts";
import { touching } from "./runtime/reachability.ts";
import { answer, defineTool } from "./runtime/tool.ts";

export const answerQuestion = defineTool({
  name: "answer_question",
  title: "Answer an instance's question",
  description:
    "Answer what an instance asks and waits for; get_instance_status shows open questions. Leave to run a tool is given with exactly approve; deny refuses it, and a reason may follow.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  changes: true,
  powers: ["message"],
  scope: "operate",
  input: z.strictObject({
    question_id: z.string().max(100).describe("The question's id: q_..."),
    answer: prose().max(100_000),
    idempotency_key: idempotencyKey,
  }),
  output: answer({ question_id: z.string(), instance_id: z.string() }),
  forInstances: {
    touches: (input) => touching("answer", input.question_id),
    description:
      "Answer what an instance below you asks you and waits for. What it asks a person, and leave to run a tool, only a person can answer.",
  },
  async run(context, input) {
    const place = parseQuestionId(input.question_id);
    if (!place)
      throw new MadroxError("invalid_input", "question_id is no question's id: they look like q_01K..._1.", {
        field: "question_id",
      });
    unwrap(
      await context.instance(place.instanceId).answer(place.n, {
        answer: input.answer,
        by: context.principal.instance ?? "user",
        ...originOf(context),
      }),
    );
    return {
      success: true,
      message: "The instance has the answer and goes on.",
      question_id: input.question_id,
      instance_id: place.instanceId,
    };
  },
});
