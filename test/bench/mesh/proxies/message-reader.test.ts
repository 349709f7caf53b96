import { encode, encodeDeltaDiscoveryResponse, encodeDiscoveryResponse, frameSotwResource } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { DigestCache } from "./digest-cache.ts";
import { MessageReader, type ReadMessage } from "./message-reader.ts";
import { typeUrls } from "./types.ts";

const clusters = ["b", "a"].map((name) =>
  frameSotwResource(
    typeUrls.cds,
    encode("envoy.config.cluster.v3.Cluster", {
      ...{ name, type: "EDS", eds_cluster_config: { service_name: name === "a" ? "other" : "" } },
      // Long enough that the response is known by its beginning.
      alt_stat_name: "x".repeat(5000),
    }),
  ),
);
const head = { typeUrl: typeUrls.cds, controlPlane: "test" };
const build = (nonce: string): Buffer =>
  Buffer.from(encodeDiscoveryResponse({ ...head, nonce, version: "v1" }, clusters));

function frame(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function createReader(cache: DigestCache): { readonly reader: MessageReader; readonly read: ReadMessage[] } {
  const read: ReadMessage[] = [];
  return { reader: new MessageReader({ cache, scope: "", onMessage: (message) => read.push(message) }), read };
}

/** As connections do it: what is handed over is overwritten afterwards. */
function push(reader: MessageReader, data: Buffer, pieceBytes: number): void {
  for (let at = 0; at < data.length; at += pieceBytes) {
    const piece = Buffer.from(data.subarray(at, at + pieceBytes));
    reader.push(piece);
    piece.fill(0xff);
  }
}

describe("MessageReader", () => {
  it.each([1, 3, 100, 4096, 100_000])(
    "reads responses in pieces of %i bytes, each proxy's nonce for itself",
    (bytes) => {
      const cache = new DigestCache("sotw");
      const marker = cache.addMarker("cds", Buffer.from("other"));
      const absent = cache.addMarker("cds", Buffer.from("nowhere"));
      const [first, second] = [createReader(cache), createReader(cache)];
      push(first.reader, frame(build("n-1")), bytes);
      push(second.reader, Buffer.concat([frame(build("n-2")), frame(build("n-3"))]), bytes);
      expect([...first.read, ...second.read].map(({ nonce }) => nonce)).toEqual(["n-1", "n-2", "n-3"]);
      const [message] = first.read;
      expect(message?.digest).toMatchObject({ type: "cds", version: "v1", resourceCount: 2, markers: [marker] });
      expect(message?.digest.markers).not.toContain(absent);
      expect([...(message?.digest.resources.values() ?? [])].flatMap(({ refs }) => refs)).toEqual(["b", "other"]);
      expect(second.read.every(({ digest }) => digest === message?.digest)).toBe(true);
      expect(message?.bytes).toBe(build("n-1").length);
    },
  );

  it("lets two proxies that are in the midst of one response have it", () => {
    const cache = new DigestCache("sotw");
    const [first, second] = [createReader(cache), createReader(cache)];
    const [one, other] = [frame(build("n-1")), frame(build("n-2"))];
    const half = one.length / 2;
    first.reader.push(one.subarray(0, half));
    second.reader.push(other.subarray(0, half));
    first.reader.push(one.subarray(half));
    second.reader.push(other.subarray(half));
    expect([...first.read, ...second.read].map(({ nonce }) => nonce)).toEqual(["n-1", "n-2"]);
  });

  it("reads what is gone in delta", () => {
    const cache = new DigestCache("delta");
    const { reader, read } = createReader(cache);
    const given = { ...head, nonce: "n", systemVersion: "v2", removedNames: ["a"] };
    push(reader, frame(Buffer.from(encodeDeltaDiscoveryResponse(given, []))), 7);
    expect(read.map(({ digest, nonce }) => [digest.removed, digest.version, nonce])).toEqual([[["a"], "v2", "n"]]);
  });
});
