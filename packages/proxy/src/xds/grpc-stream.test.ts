import { afterEach, describe, expect, it } from "vitest";
import type { ClusterManager } from "../upstream/types.ts";
import { type GrpcTarget, openGrpcStream } from "./grpc-stream.ts";
import { adsMethods } from "./resource-types.ts";
import { createTestClusters } from "./test-clusters.ts";
import { startTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";
import type { MessageStream } from "./xds-client.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function createClusters(port: number): Promise<ClusterManager> {
  const clusters = await createTestClusters(port);
  closers.push(() => clusters.close());
  return clusters;
}

async function startServer(): Promise<TestControlPlane> {
  const server = await startTestControlPlane([adsMethods.sotw]);
  closers.push(server.stop);
  return server;
}

interface Opened {
  readonly stream: MessageStream;
  readonly messages: Buffer[];
  /** Of messages as they began to come. */
  readonly lengths: readonly number[];
  readonly ended: Promise<string>;
  /** Resolves when so many messages came. */
  received(count: number): Promise<void>;
}

function open(clusters: ClusterManager, method: string, target: Partial<GrpcTarget> = {}): Opened {
  const messages: Buffer[] = [];
  const lengths: number[] = [];
  const ended = Promise.withResolvers<string>();
  const waiting: { readonly count: number; readonly done: () => void }[] = [];
  const stream = openGrpcStream(
    { clusters, cluster: "xds", authority: "", metadata: [], whenUsable: () => Promise.resolve(), ...target },
    method,
    {
      onLength: (length) => lengths.push(length),
      onMessage(pieces) {
        messages.push(Buffer.concat(pieces));
        for (const { count, done } of waiting) if (messages.length >= count) done();
        return true;
      },
      onEnd: ended.resolve,
    },
  );
  closers.push(() => stream.close());
  return {
    ...{ stream, messages, lengths, ended: ended.promise },
    received: (count) =>
      messages.length >= count ? Promise.resolve() : new Promise((done) => waiting.push({ count, done })),
  };
}

describe("openGrpcStream", () => {
  it("carries messages both ways, short and long, in order", async () => {
    const server = await startServer();
    const { stream, messages, lengths, received, ended } = open(await createClusters(server.port), adsMethods.sotw);
    // A DiscoveryRequest with version_info "v".
    stream.send(Uint8Array.of(0x0a, 1, 0x76));
    const heard = await server.stream();
    expect(await heard.next()).toEqual({ version_info: "v" });
    const long = Buffer.alloc(3_000_000, 7);
    for (const message of [Buffer.of(1), Buffer.alloc(0), long, Buffer.of(2)]) heard.send(message);
    await received(4);
    expect(messages.map(({ length }) => length)).toEqual([1, 0, 3_000_000, 1]);
    expect(lengths).toEqual([1, 0, 3_000_000, 1]);
    expect(messages[2]?.equals(long)).toBe(true);
    stream.send(Uint8Array.of(0x0a, 1, 0x77));
    expect(await heard.next()).toEqual({ version_info: "w" });
    heard.end();
    expect(await ended).toMatch(/^grpc-status 0/);
  });

  it("tells what the server says, and what cannot be reached", async () => {
    const server = await startServer();
    const clusters = await createClusters(server.port);
    expect(await open(clusters, "/no.Such/Method").ended).toMatch(/^grpc-status 12: .*\/no\.Such\/Method/);
    expect(await open(clusters, adsMethods.sotw, { cluster: "none" }).ended).toBe("there is no cluster none");
    server.stop();
    expect(await open(await createClusters(server.port), adsMethods.sotw).ended).toMatch(/^connection-failure/);
  });

  it("ends when the server is gone in the midst of it", async () => {
    const server = await startServer();
    const { stream, ended } = open(await createClusters(server.port), adsMethods.sotw);
    stream.send(Uint8Array.of(0x0a, 1, 0x76));
    await (await server.stream()).next();
    server.stop();
    expect(await ended).not.toBe("");
  });
});
