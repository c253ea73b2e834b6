/**
 * A consensus job: proposals, choices and secret ballots.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { type Asked, asked, coordinate, finished, playPlainly, schemaOf, team, who } from "../../support/jobs.ts";
import { installModel } from "../../support/model.ts";

installModel();

beforeEach(() => playPlainly());

describe("a consensus job", () => {
  interface Ballot {
    choice: string;
    confidence?: number;
  }

  /** Everyone votes as told by name; the coordinator as `Cora` says. */
  function playVotes(votes: Record<string, string | Ballot>): void {
    playPlainly((name, _text, call) => {
      const vote = votes[name];
      if (!(schemaOf(call)?.properties as Record<string, unknown> | undefined)?.choice || vote === undefined)
        return undefined;
      const ballot = typeof vote === "string" ? { choice: vote } : vote;
      return { confidence: 0.7, reasons: `reasons of ${name}`, ...ballot };
    });
  }

  const decide = async (ids: Record<string, string>, options: Record<string, unknown> = {}) => {
    const { Cora, ...others } = ids;
    return finished(
      await coordinate({
        coordinator_id: Cora,
        participant_ids: Object.values(others),
        coordination_type: "consensus",
        options,
      }),
    );
  };
  const CHOICES = ["Stone", "Steel", "Wood"];
  /** What a ballot may name. */
  const choicesIn = (call: Asked | undefined) =>
    (call?.schema?.properties as { choice: { enum: string[] } } | undefined)?.choice.enum;

  it("takes blind proposals, has them made into choices, and takes secret ballots", async () => {
    playVotes({ Ada: "Steel", Ben: "Steel", Cleo: "Stone" });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids);
    expect(job.status).toBe("completed");
    expect(who().slice(0, 3).toSorted()).toEqual(["Ada", "Ben", "Cleo"]);
    expect(who()[3]).toBe("Cora");
    expect(who().slice(4).toSorted()).toEqual(["Ada", "Ben", "Cleo"]);
    expect(asked.slice(0, 3).every((call) => call.schema === null && !call.text.includes("the work of"))).toBe(true);
    expect(["Ada", "Ben", "Cleo"].every((name) => asked[3]?.text.includes(`the work of ${name}`))).toBe(true);
    // A ballot shows nothing of the others: neither their names nor their proposals.
    for (const ballot of asked.slice(4)) {
      expect(ballot.text).not.toMatch(/the work of|Ada|Ben|Cleo|inst_/);
      expect(choicesIn(ballot)).toEqual(["Stone", "Steel"]);
    }
    expect(job.result).toMatchObject({
      decision: "Steel",
      tally: { Stone: 1, Steel: 2 },
      quorum_met: true,
      votes: ["Ada", "Ben", "Cleo"].map((name) => ({
        instance_id: ids[name],
        choice: name === "Cleo" ? "Stone" : "Steel",
        confidence: 0.7,
        reasons: `reasons of ${name}`,
      })),
      minority: [{ choice: "Stone", votes: 1, instance_ids: [ids.Cleo], reasons: ["reasons of Cleo"] }],
      rounds: 1,
    });
  });

  it("votes at once on choices that are given", async () => {
    playVotes({ Ada: "Wood", Ben: "Wood" });
    const job = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES });
    expect(who().toSorted()).toEqual(["Ada", "Ben"]);
    expect(job.result).toMatchObject({ decision: "Wood", tally: { Stone: 0, Steel: 0, Wood: 2 }, minority: [] });
  });

  it("has the coordinator break a tie, between the choices that are tied alone", async () => {
    playVotes({ Ada: "Steel", Ben: "Wood", Cora: "Wood" });
    const ids = await team("Cora", "Ada", "Ben");
    const job = await decide(ids, { choices: CHOICES });
    expect(who().at(-1)).toBe("Cora");
    expect(choicesIn(asked.at(-1))).toEqual(["Steel", "Wood"]);
    expect(job.result).toMatchObject({
      decision: "Wood",
      tie_broken_by: ids.Cora,
      tally: { Stone: 0, Steel: 1, Wood: 1 },
    });
    expect(job.result?.minority).toMatchObject([{ choice: "Steel", instance_ids: [ids.Ada] }]);
  });

  it("decides nothing without a quorum, and says so", async () => {
    playVotes({ Ada: "Steel", Ben: "Concrete", Cleo: "Glass" });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids, { choices: CHOICES, quorum: 2 });
    expect(job.status).toBe("partial");
    expect(job.result).toMatchObject({ decision: null, quorum_met: false, tally: { Stone: 0, Steel: 1, Wood: 0 } });
    expect(job.result?.summary).toContain("no quorum");
  });

  it("has a malformed ballot made again once, and takes a vote for what is no choice as none", async () => {
    let tries = 0;
    playPlainly((name, _text, call) => {
      if (!schemaOf(call)) return undefined;
      if (name === "Cleo") return { choice: "Concrete", confidence: 1, reasons: "it lasts" };
      if (name !== "Ben") return undefined;
      tries += 1;
      return tries === 1 ? "I vote for steel!" : { choice: "Steel", confidence: 0.5, reasons: "better now" };
    });
    const ids = await team("Cora", "Ada", "Ben", "Cleo");
    const job = await decide(ids, { choices: ["Steel", "Wood"] });
    expect(job.status).toBe("partial");
    expect(who().toSorted()).toEqual(["Ada", "Ben", "Ben", "Cleo", "Cleo"]);
    expect(job.result).toMatchObject({ decision: "Steel", tally: { Steel: 2, Wood: 0 }, quorum_met: true });
    expect(job.steps.filter((step) => step.status === "failed")).toMatchObject([
      { step: "vote:1:2", instance_id: ids.Cleo, error: { code: "schema_mismatch" } },
    ]);
  });

  it("votes again only if further rounds were asked for, with the counts and reasons but no names", async () => {
    playPlainly((name, text, call) => {
      if (!schemaOf(call)) return undefined;
      const again = text.includes("A round before this one");
      return { choice: name === "Ada" || again ? "Steel" : "Wood", confidence: 0.5, reasons: `reasons of ${name[0]}` };
    });
    const job = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES, threshold: 0.6, rounds: 3 });
    expect(who().toSorted()).toEqual(["Ada", "Ada", "Ben", "Ben"]);
    expect(asked.at(-1)?.text).toMatch(/Steel: 1[\s\S]*reasons of A/);
    expect(asked.at(-1)?.text).not.toMatch(/Ada|Ben|inst_/);
    expect(job.result).toMatchObject({ decision: "Steel", rounds: 2, tally: { Steel: 2 } });

    const once = await decide(await team("Cora", "Ada", "Ben"), { choices: CHOICES, threshold: 0.6 });
    expect(once.result).toMatchObject({ decision: null, threshold_met: false, rounds: 1 });
  });
});
