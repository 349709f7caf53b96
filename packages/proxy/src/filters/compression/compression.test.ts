import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync, zstdDecompressSync } from "node:zlib";
import { packAny } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { LocalReplyError } from "../../http/exchange.ts";
import { createTestChain, type TestAnswer } from "../test-exchange.ts";
import { chooseCoding } from "./choose-coding.ts";
import { compressorFactory } from "./compressor.ts";
import { decompressorFactory } from "./decompressor.ts";

const gzip = { name: "gzip", typed_config: packAny("envoy.extensions.compression.gzip.compressor.v3.Gzip", {}) };
const brotli = { name: "br", typed_config: packAny("envoy.extensions.compression.brotli.compressor.v3.Brotli", {}) };
const zstd = { name: "z", typed_config: packAny("envoy.extensions.compression.zstd.compressor.v3.Zstd", {}) };
const text = "x".repeat(100);
const plain = { "content-type": "text/plain", "content-length": "100" };

// As a real Envoy 1.40 answers.
describe("the answers of compressorFactory", () => {
  const isGzip = true;
  it.each<[string, string | undefined, Readonly<Record<string, string>>, boolean, string | undefined]>([
    ["gzip", "gzip", plain, isGzip, "Accept-Encoding"],
    ["gzip forbidden", "br, gzip;q=0", plain, !isGzip, "Accept-Encoding"],
    ["anything", "*", plain, isGzip, "Accept-Encoding"],
    ["something else", "deflate", plain, !isGzip, "Accept-Encoding"],
    ["rather nothing", "identity, gzip;q=0.5", plain, !isGzip, "Accept-Encoding"],
    ["no word of it", undefined, plain, !isGzip, "Accept-Encoding"],
    ["a type of its own", "gzip", { "content-type": "image/png", "content-length": "100" }, !isGzip, undefined],
    ["a short answer", "gzip", { "content-type": "text/plain", "content-length": "20" }, !isGzip, undefined],
    ["an unknown length", "gzip", { "content-type": "text/plain; charset=utf-8" }, isGzip, "Accept-Encoding"],
    ["no type", "gzip", {}, isGzip, "Accept-Encoding"],
    ["no-transform", "gzip", { ...plain, "cache-control": "no-transform" }, !isGzip, undefined],
    ["another coding", "gzip", { ...plain, "content-encoding": "br" }, !isGzip, undefined],
    ["a Vary already", "gzip", { ...plain, vary: "origin" }, isGzip, "origin, Accept-Encoding"],
  ])("%s", async (_what, accepted, headers, isCompressed, vary) => {
    const chain = createTestChain(compressorFactory, { filter: { compressor_library: gzip } });
    const request = accepted === undefined ? {} : { headers: { "accept-encoding": accepted } };
    const outcome = await chain.ask(request, { headers, body: text });
    expect(outcome.headers["vary"]).toBe(vary);
    expect(outcome.headers["content-encoding"]).toBe(isCompressed ? "gzip" : headers["content-encoding"]);
    expect(outcome.headers["content-length"]).toBe(isCompressed ? undefined : headers["content-length"]);
    expect((isCompressed ? gunzipSync(outcome.bytes) : outcome.bytes).toString()).toBe(text);
    expect(chain.stat("http.test.compressor.gzip.gzip.compressed")).toBe(isCompressed ? 1 : 0);
  });

  it("are compressed where the proxy gives them itself, too", async () => {
    const chain = createTestChain(compressorFactory, { filter: { compressor_library: gzip } });
    const denied = new LocalReplyError({ status: 403, body: text, flags: ["UAEX"], details: "denied" });
    const outcome = await chain.ask({ headers: { "accept-encoding": "gzip" } }, { throws: denied });
    expect(outcome).toMatchObject({
      status: 403,
      headers: { "content-encoding": "gzip", "content-type": "text/plain" },
    });
    expect(gunzipSync(outcome.bytes).toString()).toBe(text);
    expect(await chain.ask({}, { throws: denied })).toMatchObject({ status: 403, body: text });
  });

  it.each([
    ['"strong"', undefined],
    ['W/"weak"', 'W/"weak"'],
  ])("takes away a tag of the very bytes: %s", async (etag, kept) => {
    const chain = createTestChain(compressorFactory, { filter: { compressor_library: gzip } });
    const outcome = await chain.ask(
      { headers: { "accept-encoding": "gzip" } },
      { headers: { ...plain, etag }, body: text },
    );
    expect(outcome.headers["etag"]).toBe(kept);
  });

  it.each([
    ["br", brotli, (bytes: Uint8Array) => brotliDecompressSync(bytes)],
    ["zstd", zstd, (bytes: Uint8Array) => zstdDecompressSync(bytes)],
  ])("speaks %s", async (name, library, undo) => {
    const chain = createTestChain(compressorFactory, { filter: { compressor_library: library } });
    const outcome = await chain.ask({ headers: { "accept-encoding": name } }, { body: text });
    expect([outcome.headers["content-encoding"], undo(outcome.bytes).toString()]).toEqual([name, text]);
  });

  it("has settings for each direction, and for routes", async () => {
    const response = {
      disable_on_etag_header: true,
      remove_accept_encoding_header: true,
      common_config: { min_content_length: { value: 10 } },
    };
    const filter = { compressor_library: gzip, response_direction_config: response, request_direction_config: {} };
    const request = { headers: { "accept-encoding": "gzip" }, body: text };
    const tagged: TestAnswer = { headers: { ...plain, etag: '"a"' }, body: text };
    const chain = createTestChain(compressorFactory, { filter });
    const outcome = await chain.ask(request, tagged);
    expect([outcome.body, outcome.headers["vary"]]).toEqual([text, undefined]);
    expect(outcome.forwarded?.headers).toEqual({ "content-encoding": "gzip" });
    expect(chain.stat("http.test.compressor.gzip.gzip.request.compressed")).toBe(1);
    expect(chain.stat("http.test.compressor.gzip.gzip.not_compressed_etag")).toBe(1);
    const off = await createTestChain(compressorFactory, { filter, perRoute: [{ disabled: true }] }).ask(request, {
      body: text,
    });
    expect(off.body).toBe(text);
  });

  it("refuses what is no compressor", () => {
    const library = { name: "x", typed_config: packAny("envoy.extensions.filters.http.buffer.v3.Buffer", {}) };
    expect(() => createTestChain(compressorFactory, { filter: { compressor_library: library } })).toThrow(
      "compressor_library",
    );
    expect(() => createTestChain(compressorFactory, { filter: {} })).toThrow("compressor_library");
  });
});

describe("chooseCoding", () => {
  const offer = (name: string) => ({ name, allowsType: () => true, isFirst: false });
  it.each([
    ["gzip, br", "gzip"],
    ["gzip;q=0.5, br;q=0.9", "br"],
    ["GZIP", "gzip"],
    ["", "identity"],
    ["zstd", "none"],
    ["gzip;q=x", "none"],
  ])("%j", (accepted, expected) => {
    const choice = chooseCoding(accepted, [offer("gzip"), offer("br")]);
    expect(choice.kind === "coding" ? choice.offer.name : choice.kind).toBe(expected);
  });
});

describe("decompressorFactory", () => {
  const library = { name: "gzip", typed_config: packAny("envoy.extensions.compression.gzip.decompressor.v3.Gzip", {}) };
  const chain = createTestChain(decompressorFactory, { filter: { decompressor_library: library } });

  it("undoes the coding of requests and answers", async () => {
    const request = { headers: { "content-encoding": "gzip", "content-length": "25" }, body: gzipSync("hello") };
    const outcome = await chain.ask(request, { headers: { "content-encoding": "gzip, br" }, body: gzipSync("world") });
    expect(outcome.forwarded).toMatchObject({ body: "hello", headers: { "accept-encoding": "gzip" } });
    expect(outcome).toMatchObject({ body: "world", headers: { "content-encoding": "br" } });
    expect(outcome.trailers).toMatchObject({ "x-envoy-decompressor-gzip-gzip-uncompressed-bytes": "5" });
  });

  it("leaves other codings, and says what it can undo", async () => {
    const body = brotliCompressSync("hello");
    const outcome = await chain.ask(
      { headers: { "accept-encoding": "br" } },
      { headers: { "content-encoding": "br" }, body },
    );
    expect(Buffer.from(outcome.bytes).equals(body)).toBe(true);
    expect(outcome.forwarded?.headers).toEqual({ "accept-encoding": "br,gzip" });
  });

  it("breaks off where the bytes are not of the coding", async () => {
    const answer = { headers: { "content-encoding": "gzip" }, body: "no gzip at all" };
    await expect(chain.ask({}, answer)).rejects.toThrow("incorrect header check");
  });
});
