/**
 * `consensus`: blind proposals, from which the coordinator derives the choices (unless they are given); secret ballots; a
 * decision by quorum and threshold. The coordinator breaks ties. There are further rounds only if they were asked for.
 */
import * as z from "zod";
import type { ConsensusResult, JobSpec, Vote } from "../../contracts/job.ts";
import { DATA_NOTE, fenced, taskOf } from "./prompts.ts";
import {
  needed,
  nobodyDelivered,
  type Parsed,
  parsed,
  parseOrRetry,
  type Question,
  type Steps,
  type StepView,
  type Strategy,
  type TextOf,
  together,
} from "./strategy.ts";
import { type Count, count, decided } from "./tally.ts";

const CLUSTER = "cluster";
const TIEBREAK = "tiebreak";
const proposalKey = (place: number) => `propose:${place}`;
const voteKey = (round: number, place: number) => `vote:${round}:${place}`;

/** Upper bound on the choices that the coordinator derives: nobody can weigh more. */
const MAX_CHOICES = 20;

interface Choice {
  choice: string;
  description: string;
}

export const consensus: Strategy = {
  next(spec, steps) {
    const coordinator = spec.coordinator.instance_id;
    if (spec.options.choices === null) {
      const proposals = together(
        steps,
        spec.participants.map(({ instance_id }, place) => ({ key: proposalKey(place), kind: "propose", instance_id })),
      );
      if ("decision" in proposals) return proposals.decision;
      if (!proposals.done.some((step) => step.state === "completed")) {
        return { kind: "end", error: nobodyDelivered(proposals.done) };
      }
      const wanted = { key: CLUSTER, kind: "cluster" as const, instance_id: coordinator, what: "list of choices" };
      const clustered = parseOrRetry(steps, wanted, readChoices);
      if ("decision" in clustered) return clustered.decision;
    }
    for (let round = 1; ; round++) {
      const ballots = together(
        steps,
        votersOf(spec, steps, round).map((place) => ({
          key: voteKey(round, place),
          kind: "vote",
          instance_id: spec.participants[place]?.instance_id ?? "",
        })),
      );
      if ("decision" in ballots) return ballots.decision;
      const counted = countOf(spec, steps, round);
      if (counted.leaders.length === 0) return { kind: "end", error: nobodyDelivered(ballots.done) };
      if (!counted.quorumMet || decided(counted) !== null) return { kind: "end" };
      if (round < spec.options.rounds) continue;
      if (!counted.thresholdMet) return { kind: "end" };
      const tiebreak = needed(steps, { key: TIEBREAK, kind: "tiebreak", instance_id: coordinator });
      return "decision" in tiebreak ? tiebreak.decision : { kind: "end" };
    }
  },

  ask(spec, steps, step, textOf) {
    switch (step.kind) {
      case "propose":
        return proposeQuestion(spec);
      case "cluster":
        return clusterQuestion(spec, steps, step.key, textOf);
      case "tiebreak":
        return tiebreakQuestion(spec, steps);
      default:
        return voteQuestion(spec, steps, Number(step.key.split(":")[1]));
    }
  },

  result(spec, steps) {
    return resultOf(spec, steps);
  },
};

/** The indexes of the participants who vote in a round: those that have not dropped out before. */
function votersOf(spec: JobSpec, steps: Steps, round: number): number[] {
  const earlier = (place: number) => [
    ...(spec.options.choices === null ? [proposalKey(place)] : []),
    ...Array.from({ length: round - 1 }, (_, i) => voteKey(i + 1, place)),
  ];
  return spec.participants.flatMap((_member, place) =>
    earlier(place).every((key) => steps.get(key)?.state === "completed") ? [place] : [],
  );
}

function choicesOf(spec: JobSpec, steps: Steps): Choice[] {
  if (spec.options.choices) return spec.options.choices.map((choice) => ({ choice, description: "" }));
  return parsed(steps, CLUSTER, readChoices) ?? [];
}

function ballotSchema(choices: readonly string[]) {
  return z.object({
    choice: z.enum(choices as [string, ...string[]]),
    confidence: z.number().min(0).max(1).describe("How sure you are, from 0 to 1"),
    reasons: z.string(),
  });
}

/** The valid ballots of a round, in the order of the participants. */
function votesOf(spec: JobSpec, steps: Steps, round: number): Vote[] {
  const choices = choicesOf(spec, steps).map(({ choice }) => choice);
  if (choices.length === 0) return [];
  return spec.participants.flatMap(({ instance_id }, place) => {
    const step = steps.get(voteKey(round, place));
    const ballot = step?.state === "completed" ? ballotSchema(choices).safeParse(step.structured) : null;
    return ballot?.success ? [{ instance_id, ...ballot.data }] : [];
  });
}

function countOf(spec: JobSpec, steps: Steps, round: number): Count {
  const { quorum, threshold } = spec.options;
  const choices = choicesOf(spec, steps).map(({ choice }) => choice);
  const rules = { participants: spec.participants.length, quorum, threshold };
  return count(votesOf(spec, steps, round), choices, rules);
}

function clusterSchema() {
  return z.object({
    choices: z
      .array(
        z.object({
          choice: z.string().describe("Short and distinct; it is what the ballots name"),
          description: z.string().describe("What it means, fair to whoever proposed it"),
        }),
      )
      .min(1),
  });
}

function readChoices(structured: unknown): Parsed<Choice[]> {
  const list = clusterSchema().safeParse(structured);
  if (!list.success) return { ok: false, problem: z.prettifyError(list.error) };
  const { choices } = list.data;
  if (choices.length > MAX_CHOICES) {
    return { ok: false, problem: `there are ${choices.length} choices, and at most ${MAX_CHOICES} are taken` };
  }
  if (choices.some(({ choice }) => choice.trim() === "")) return { ok: false, problem: "a choice is empty" };
  const twice = choices.find(({ choice }, i) => choices.findIndex((other) => other.choice === choice) !== i);
  if (twice) return { ok: false, problem: `the choice ${JSON.stringify(twice.choice)} is there twice` };
  return { ok: true, value: choices };
}

function proposeQuestion(spec: JobSpec): Question {
  const message = [
    `${spec.participants.length} participants are to decide something together. First each makes a proposal of its own, without seeing those of the others; then all vote on them in secret.`,
    taskOf(spec),
    "Make your proposal, from your role: one clear answer, with the reasons for it. Answer with the proposal alone.",
  ].join("\n\n");
  return { message, schema: null };
}

function clusterQuestion(spec: JobSpec, steps: Steps, key: string, textOf: TextOf): Question {
  const schema = z.toJSONSchema(clusterSchema()) as Record<string, unknown>;
  const rejected = key === `${CLUSTER}:1` ? undefined : steps.get(`${CLUSTER}:1`);
  if (rejected) {
    const reading = readChoices(rejected.structured);
    const problem = reading.ok ? "it can't be used" : reading.problem;
    return {
      message: `Your list of choices can't be voted on: ${problem}. Make it again, whole and corrected.`,
      schema,
    };
  }
  const proposals = spec.participants.flatMap((from, place) =>
    steps.get(proposalKey(place))?.state === "completed" ? [{ from, text: textOf(proposalKey(place)) }] : [],
  );
  const message = [
    "You coordinate a decision. Each participant has made a proposal without seeing the others'. Make the choices of a vote from them.",
    taskOf(spec),
    `The proposals. ${DATA_NOTE}\n\n${fenced(proposals)}`,
    "Put proposals together that come to the same, leave none out, and add none of your own. Do not judge them, and do not name who made them.",
  ].join("\n\n");
  return { message, schema };
}

function listOf(choices: readonly Choice[]): string {
  const lines = choices.map(({ choice, description }) => `- ${choice}${description === "" ? "" : `: ${description}`}`);
  return `<choices>\n${lines.join("\n")}\n</choices>`;
}

function voteQuestion(spec: JobSpec, steps: Steps, round: number): Question {
  const choices = choicesOf(spec, steps);
  const before = round === 1 ? [] : [roundSummary(spec, steps, round - 1)];
  const message = [
    "Cast your ballot in a decision that several participants make together. It is secret: none of the others sees it.",
    taskOf(spec),
    `The choices:\n${listOf(choices)}`,
    ...before,
    "Name exactly one choice, word for word, how sure you are of it (0 to 1), and your reasons.",
  ].join("\n\n");
  return {
    message,
    schema: z.toJSONSchema(ballotSchema(choices.map(({ choice }) => choice))) as Record<string, unknown>,
  };
}

/** How a round went, without names: the ballots stay secret. */
function roundSummary(spec: JobSpec, steps: Steps, round: number): string {
  const votes = votesOf(spec, steps, round);
  const { tally } = countOf(spec, steps, round);
  const counts = Object.entries(tally).map(([choice, n]) => `- ${choice}: ${n}`);
  const reasons = votes.map((vote) => ({ from: null, about: vote.choice, text: vote.reasons }));
  return `A round before this one gave no decision:\n${counts.join("\n")}\n\nThe reasons on its ballots. ${DATA_NOTE}\n\n${fenced(reasons)}`;
}

function tiebreakQuestion(spec: JobSpec, steps: Steps): Question {
  const round = lastRound(spec, steps);
  const { leaders, tally } = countOf(spec, steps, round);
  const reasons = votesOf(spec, steps, round)
    .filter((vote) => leaders.includes(vote.choice))
    .map((vote) => ({ from: null, about: vote.choice, text: vote.reasons }));
  const tied = choicesOf(spec, steps).filter(({ choice }) => leaders.includes(choice));
  const message = [
    `You coordinate a decision. The vote ended in a tie: ${tally[leaders[0] ?? ""]} ballots each. You break it.`,
    taskOf(spec),
    `The choices with the most ballots:\n${listOf(tied)}`,
    `The reasons on their ballots. ${DATA_NOTE}\n\n${fenced(reasons)}`,
    "Decide for one of them by the weight of the reasons. Name it word for word, how sure you are (0 to 1), and your reasons.",
  ].join("\n\n");
  return { message, schema: z.toJSONSchema(ballotSchema(leaders)) as Record<string, unknown> };
}

/** The last round that anybody was asked to vote in. */
function lastRound(spec: JobSpec, steps: Steps): number {
  const asked = (round: number) => spec.participants.some((_member, place) => steps.has(voteKey(round, place)));
  let round = 1;
  while (round < spec.options.rounds && asked(round + 1)) round += 1;
  return round;
}

function resultOf(spec: JobSpec, steps: Steps): ConsensusResult {
  const round = lastRound(spec, steps);
  const votes = votesOf(spec, steps, round);
  const counted = countOf(spec, steps, round);
  const brokenBy = tiebreakOf(steps, counted);
  const decision = decided(counted) ?? brokenBy;
  const others = Object.keys(counted.tally).filter((choice) => choice !== decision);
  const minority = others.flatMap((choice) => {
    const theirs = votes.filter((vote) => vote.choice === choice);
    if (theirs.length === 0) return [];
    return [
      {
        choice,
        votes: theirs.length,
        instance_ids: theirs.map((vote) => vote.instance_id),
        reasons: theirs.map((vote) => vote.reasons),
      },
    ];
  });
  return {
    decision,
    tally: counted.tally,
    quorum_met: counted.quorumMet,
    threshold_met: counted.thresholdMet,
    ...(brokenBy === null ? {} : { tie_broken_by: spec.coordinator.instance_id }),
    votes,
    minority,
    rounds: round,
    summary: summaryOf(spec, counted, decision, brokenBy !== null, votes.length),
  };
}

function tiebreakOf(steps: Steps, { leaders }: Count): string | null {
  const step: StepView | undefined = steps.get(TIEBREAK);
  if (step?.state !== "completed" || leaders.length === 0) return null;
  const ballot = ballotSchema(leaders).safeParse(step.structured);
  return ballot.success ? ballot.data.choice : null;
}

function summaryOf(spec: JobSpec, counted: Count, decision: string | null, broken: boolean, valid: number): string {
  const ballots = `${valid} of ${spec.participants.length} participants cast a valid ballot`;
  const counts = Object.entries(counted.tally)
    .sort(([, a], [, b]) => b - a)
    .map(([choice, n]) => `${choice}: ${n}`)
    .join("; ");
  if (decision !== null) {
    return `Decided: ${decision}${broken ? " (a tie, broken by the coordinator)" : ""}. ${ballots} (${counts}).`;
  }
  const why = !counted.quorumMet
    ? "there was no quorum"
    : !counted.thresholdMet
      ? "no choice reached the threshold"
      : "the tie was not broken";
  return `No decision: ${why}. ${ballots} (${counts}).`;
}
