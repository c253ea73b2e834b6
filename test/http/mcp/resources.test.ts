/**
 * An instance's files as resources over MCP.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { newInstanceId } from "../../../src/platform/ids.ts";
import { request, spawn, tool } from "../../support/door.ts";
import { mcp } from "../../support/mcp.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { resource, write } from "../../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("files as MCP resources", () => {
  const contentOf = async (uri: string) => {
    const { result } = (await resource(uri)) as { result?: { contents: Record<string, string>[] } };
    return result?.contents[0] ?? expect.fail(`${uri} can't be read.`);
  };

  it("are read as text or bytes, with their type, however the URI is written", async () => {
    const id = await spawn();
    await write(id, "docs/a b.md", "# Grüße");
    await write(id, "b.bin", "//79", { encoding: "base64" });
    for (const path of ["docs/a%20b.md", "docs%2Fa%20b.md", "docs/a b.md"]) {
      const uri = `workspace://${id}/${path}`;
      expect(await contentOf(uri)).toEqual({ uri, mimeType: "text/markdown", text: "# Grüße" });
    }
    expect(await contentOf(`workspace://${id}/b.bin`)).toMatchObject({
      mimeType: "application/octet-stream",
      blob: "//79",
    });
    await tool("terminate_instance", { instance_id: id });
    expect(await contentOf(`workspace://${id}/docs/a%20b.md`)).toMatchObject({ text: "# Grüße" });
  });

  it("are listed by instance, each with the URI that reads it", async () => {
    const id = await spawn({ name: "Lister" });
    await write(id, "src/ü?.txt", "found");
    const { result } = (await mcp("resources/list")) as { result: { resources: Record<string, string>[] } };
    const listed = result.resources.find((one) => one.uri === `workspace://${id}/`);
    expect(listed).toMatchObject({ name: "files of Lister", mimeType: "application/json" });
    const folder = await contentOf(String(listed?.uri));
    const listing = JSON.parse(String(folder.text)) as { files: { uri: string; path: string; size: number }[] };
    expect(listing.files).toMatchObject([{ path: "src/ü?.txt", size: 5, version: expect.any(String) }]);
    expect(await contentOf(String(listing.files[0]?.uri))).toMatchObject({ text: "found" });
    expect((await contentOf(`workspace://${id}/src`)).text).toBe(folder.text);
    await tool("terminate_instance", { instance_id: id });
    const after = (await mcp("resources/list")) as { result: { resources: { uri: string }[] } };
    expect(after.result.resources.map(({ uri }) => uri)).not.toContain(listed?.uri);
    expect(after.result.resources.length).toBeLessThanOrEqual(50);
    const { result: templates } = (await mcp("resources/templates/list")) as {
      result: { resourceTemplates: { uriTemplate: string }[] };
    };
    expect(templates.resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
      "workspace://{instance_id}/{+path}",
    );
  });

  it("that are not there, too large or nobody's say so", async () => {
    const id = await spawn();
    await request(`/instances/${id}/files/big.txt`, { method: "PUT", body: "x".repeat(1024 * 1024 + 1) });
    expect(await resource(`workspace://${id}/big.txt`)).toMatchObject({
      error: {
        code: -32602,
        message: expect.stringMatching(/1048577 bytes.*retrieve_instance_file/),
        data: { error: "too_large", size: 1024 * 1024 + 1 },
      },
    });
    const missing = [`${id}/none.txt`, `${newInstanceId()}/a.txt`, "nobody/a.txt", `${newInstanceId()}/`];
    for (const uri of [...missing.map((rest) => `workspace://${rest}`), "file:///etc/passwd", "nonsense"]) {
      expect(await resource(uri), uri).toMatchObject({ error: { code: -32602, data: { uri } } });
    }
    expect(await resource(`workspace://${id}/%ff`)).toMatchObject({ error: { data: { error: "invalid_input" } } });
  });
});
