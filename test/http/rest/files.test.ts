/**
 * Files over REST, and from outside by tools: whole, in parts, as streams and as one archive.
 */
import { unzipSync } from "fflate";
import { beforeEach, describe, expect, it } from "vitest";
import { type Json, request, spawn, tool } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { bytesOf, failure, inObject, read, write } from "../../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("files from outside", () => {
  it("binary content goes in and out whole, and in pieces", async () => {
    const id = await spawn();
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const content = btoa(String.fromCharCode(...bytes));
    expect(await write(id, "b.bin", content, { encoding: "base64" })).toMatchObject({
      success: true,
      size: 256,
      created: true,
    });
    expect(await read(id, "b.bin")).toMatchObject({
      content,
      encoding: "base64",
      media_type: "application/octet-stream",
    });
    expect(await read(id, "b.bin", { encoding: "utf-8" })).toMatchObject({ success: false, error: "invalid_input" });
    expect(await read(id, "b.bin", { offset: 65, length: 2 })).toMatchObject({ content: "AB", next_offset: 67 });
    await write(id, "ü.txt", "aüb");
    expect(await read(id, "ü.txt", { length: 2 })).toMatchObject({ content: "a", next_offset: 1, size: 4 });
    expect(await read(id, "u\u0308.txt", { offset: 1 })).toMatchObject({ content: "üb", path: "ü.txt" });
  });

  it("a stale overwrite is a conflict that names the version, and loses nothing", async () => {
    const id = await spawn();
    const first = await write(id, "a.txt", "one", { expected_version: "new" });
    const second = await write(id, "a.txt", "two", { expected_version: first.version });
    expect(second).toMatchObject({ success: true, created: false });
    for (const expected_version of [first.version, "new"]) {
      const stale = await write(id, "a.txt", "three", { expected_version });
      expect(stale).toMatchObject({ success: false, error: "conflict", details: { version: second.version } });
    }
    expect((await read(id, "a.txt")).content).toBe("two");
    await tool("write_instance_file", { instance_id: id, path: "k", content: "1", idempotency_key: "k1" });
    const again = await tool("write_instance_file", {
      instance_id: id,
      path: "k",
      content: "1",
      idempotency_key: "k1",
    });
    expect(again).toMatchObject({ success: true, created: true });
  });

  it("REST takes and gives files as they are, and no browser runs them", async () => {
    const id = await spawn();
    const page = "<script>alert(1)</script>";
    const url = `/instances/${id}/files/site/${encodeURIComponent('in "dex ü.html')}`;
    const put = await request(url, { method: "PUT", body: page, headers: { "if-none-match": "*" } });
    expect(put.status).toBe(201);
    const etag = put.headers.get("etag") ?? "";
    expect(await put.json()).toMatchObject({ success: true, path: 'site/in "dex ü.html', size: page.length });
    const got = await request(url);
    expect(await got.text()).toBe(page);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "content-length": String(page.length),
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'",
      "content-disposition": "attachment; filename=\"in__dex__.html\"; filename*=UTF-8''in%20%22dex%20%C3%BC.html",
      etag,
    });
    const part = await request(url, { headers: { range: "bytes=1-6" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([
      206,
      `bytes 1-6/${page.length}`,
      "script",
    ]);
    expect((await request(url, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await request(url, { method: "PUT", body: "x", headers: { "if-match": '"0"' } })).status).toBe(409);
    expect((await request(`/instances/${id}/files?recursive=false`).then((r) => r.json())) as Json).toMatchObject({
      files: [{ path: "site", type: "folder" }],
    });
    expect((await request(url, { method: "DELETE", headers: { "if-match": etag } })).status).toBe(200);
    expect((await request(url)).status).toBe(404);
    expect((await request(url, { method: "POST" })).status).toBe(405);
    expect((await request(`/instances/${id}/files/empty`, { method: "PUT" })).status).toBe(201);
  });

  it("REST gives the part that was asked for, or says that there is none", async () => {
    const id = await spawn();
    const url = `/instances/${id}/files/ten.txt`;
    const put = await request(url, { method: "PUT", body: "0123456789" });
    const etag = put.headers.get("etag") ?? "";
    await request(`/instances/${id}/files/empty`, { method: "PUT" });
    const get = async (headers: Record<string, string>, path = url, method = "GET") => {
      const response = await request(path, { method, headers });
      const text = await response.text();
      return [response.status, response.headers.get("content-range"), response.status === 416 ? "" : text];
    };
    const cases: [range: string, status: number, contentRange: string | null, body: string][] = [
      ["bytes=0-0", 206, "bytes 0-0/10", "0"],
      ["bytes=8-", 206, "bytes 8-9/10", "89"],
      ["bytes=-3", 206, "bytes 7-9/10", "789"],
      ["bytes=-99", 206, "bytes 0-9/10", "0123456789"],
      ["bytes=5-99", 206, "bytes 5-9/10", "56789"],
      ["Bytes=1-2", 206, "bytes 1-2/10", "12"],
      ["bytes=10-", 416, "bytes */10", ""],
      ["bytes=99-100", 416, "bytes */10", ""],
      ["bytes=-0", 416, "bytes */10", ""],
      ["bytes=5-2", 200, null, "0123456789"],
      ["bytes=0-1,3-4", 200, null, "0123456789"],
      ["lines=1-2", 200, null, "0123456789"],
      ["bytes=-", 200, null, "0123456789"],
    ];
    for (const [range, status, contentRange, body] of cases) {
      expect(await get({ range }), range).toEqual([status, contentRange, body]);
    }
    expect(await get({ range: "bytes=0-" }, `/instances/${id}/files/empty`)).toEqual([416, "bytes */0", ""]);
    expect(await get({ range: "bytes=1-2", "if-range": etag })).toEqual([206, "bytes 1-2/10", "12"]);
    for (const other of ['"0"', `W/${etag}`, "Sat, 21 Nov 2026 00:00:00 GMT"]) {
      expect(await get({ range: "bytes=1-2", "if-range": other })).toEqual([200, null, "0123456789"]);
    }
    for (const same of [etag, `W/${etag}`, `"0", ${etag}`, "*"]) {
      expect(await get({ range: "bytes=99-", "if-none-match": same })).toEqual([304, null, ""]);
    }
    const failed = await request(url, { headers: { range: "bytes=99-" } });
    expect(await failed.json()).toMatchObject({
      success: false,
      error: "range_not_satisfiable",
      details: { size: 10 },
    });
  });

  it("a file that is written again while it is read comes whole, alone and in an archive", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      await workspace.write("a.txt", bytesOf("before"), {});
      const { body, version } = await workspace.open("a.txt", null);
      const written = await workspace.write("a.txt", bytesOf("after"), {});
      expect(written.version).not.toBe(version);
      expect(await new Response(body).text()).toBe("before");
      const large = new Uint8Array(1_500_000);
      await workspace.write("large", large, {});
      const old = await workspace.open("large", null);
      await workspace.write("large", large.fill(1), {});
      expect(await failure(new Response(old.body).arrayBuffer())).toMatchObject({ code: "conflict" });
      await workspace.write("z/1.txt", bytesOf("old"), {});
      await workspace.write("z/2.txt", bytesOf("gone"), {});
      const archive = (await workspace.zip()).body.getReader();
      const pieces = [(await archive.read()).value ?? new Uint8Array()];
      await workspace.write("z/1.txt", bytesOf("new"), {});
      await workspace.delete("z/2.txt", { recursive: false });
      for (let piece = await archive.read(); !piece.done; piece = await archive.read()) pieces.push(piece.value);
      const zipped = unzipSync(new Uint8Array(await new Blob(pieces).arrayBuffer()));
      expect(new TextDecoder().decode(zipped["z/1.txt"])).toBe("new");
      expect(Object.keys(zipped)).not.toContain("z/2.txt");
    });
  });

  it("HEAD says of a file what GET would, without the file", async () => {
    const id = await spawn();
    const url = `/instances/${id}/files/a.txt`;
    await request(url, { method: "PUT", body: "0123456789" });
    for (const headers of [new Headers(), new Headers({ range: "bytes=1-2" })]) {
      const [got, head] = [await request(url, { headers }), await request(url, { method: "HEAD", headers })];
      expect([head.status, await head.text()]).toEqual([got.status, ""]);
      expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(got.headers));
      await got.body?.cancel();
    }
    expect((await request(`/instances/${id}/files/b.txt`, { method: "HEAD" })).status).toBe(404);
    const zip = await request(`/instances/${id}/workspace.zip`, { method: "HEAD" });
    expect([zip.status, zip.headers.get("content-type")]).toEqual([200, "application/zip"]);
    const refused = await request(url, { method: "PATCH" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT, DELETE"]);
  });

  it("a zip has no name that another system would unpack elsewhere, and each name once", async () => {
    const id = await spawn();
    const paths = ["C:evil.txt", "C_evil.txt", "a:b/inside.txt", "nul.txt", "dots..", 'say "hi".txt', "plain.txt"];
    for (const path of paths) {
      const written = await tool("write_instance_file", { instance_id: id, path, content: path });
      expect(written, path).toMatchObject({ success: true });
    }
    const zipped = unzipSync(new Uint8Array(await (await request(`/instances/${id}/workspace.zip`)).arrayBuffer()));
    const files = Object.keys(zipped).filter((name) => !name.endsWith("/"));
    expect(files.sort()).toEqual(
      ["C_evil.txt (2)", "C_evil.txt", "a_b/inside.txt", "_nul.txt", "dots__", "say _hi_.txt", "plain.txt"].sort(),
    );
    expect(new TextDecoder().decode(zipped["C_evil.txt"])).toBe("C_evil.txt");
  });

  it("the whole workspace is a zip, byte for byte", async () => {
    const id = await spawn();
    const big = new Uint8Array(1_500_000).map((_, i) => (i * 7) % 251);
    const expected: Record<string, Uint8Array> = {
      "a/ü.txt": bytesOf("Grüße"),
      "a/b/empty": new Uint8Array(),
      "big.bin": big,
    };
    for (const [path, body] of Object.entries(expected)) {
      const url = `/instances/${id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
      expect((await request(url, { method: "PUT", body })).status).toBe(201);
    }
    const zip = await request(`/instances/${id}/workspace.zip`);
    expect(zip.headers.get("content-type")).toBe("application/zip");
    const found = unzipSync(new Uint8Array(await zip.arrayBuffer()));
    expect(
      Object.keys(found)
        .filter((name) => !name.endsWith("/"))
        .sort(),
    ).toEqual(Object.keys(expected).sort());
    for (const [path, body] of Object.entries(expected)) expect(found[path]).toEqual(body);
  });
});
