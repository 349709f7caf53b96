/** Section F of the checklist, F-1 to F-4 and F-11: times to live, and clients that send nothing but nonsense. */
import { expect, test } from "vitest";
import { createKeptLog, gatewayNode, startSecureMesh } from "../support/secure-mesh.ts";
import { shopMesh } from "../support/shop-mesh.ts";
import { type Variant, XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const [invalidArgument, unauthenticated] = [3, 16];
const ttlFeatures = ["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"];

function askForClusters(stream: XdsStream, clientFeatures: readonly string[] = []): void {
  const node = { ...gatewayNode("shop", "gateway"), client_features: clientFeatures };
  if (stream.variant === "delta") (stream as XdsStream<"delta">).send({ node, type_url: typeUrls.cds });
  else (stream as XdsStream<"sotw">).send({ node, type_url: typeUrls.cds });
}

for (const variant of ["sotw", "delta"] satisfies readonly Variant[]) {
  test(`F-1 no resource has a time to live, whatever the client says that it can do (${variant})`, async () => {
    const mesh = await startSecureMesh(shopMesh);
    const client = await mesh.connectAs("shop/gateway");
    for (const features of [[], ttlFeatures]) {
      const stream = client.open(variant);
      askForClusters(stream, features);
      // The client refuses resources that have one, and wrapped ones.
      const { resources, typeUrl } = await stream.next();
      expect(typeUrl).toBe(typeUrls.cds);
      expect(resources.length).toBeGreaterThan(0);
    }
  });
}

for (const number of ["F-2", "F-3", "F-4"]) {
  test(`${number} does not apply: no resource has a time to live`, async () => {
    const mesh = await startSecureMesh(shopMesh);
    const stream = (await mesh.connectAs("shop/gateway")).open("delta");
    askForClusters(stream, ttlFeatures);
    expect((await stream.next()).resources.length).toBeGreaterThan(0);
  });
}

test("F-11 a thousand first messages that mean nothing fill no log, and others are served meanwhile", async () => {
  const { log, lines } = createKeptLog();
  const mesh = await startSecureMesh(shopMesh, { log, limits: { maxNewStreamsPerSecond: 10_000 } });
  const plain = new XdsClient(mesh.controlPlane.grpcAddress);
  const before = lines.length;
  try {
    const codes = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const stream = plain.open("sotw");
        stream.sendBytes(new Uint8Array([255, 255, 255]));
        return (await stream.ended).code;
      }),
    );
    expect(new Set(codes)).toEqual(new Set([invalidArgument]));
  } finally {
    plain.close();
  }
  const stranger = mesh.connect();
  for (let round = 0; round < 10; round += 1) {
    const streams = Array.from({ length: 50 }, () => stranger.open("sotw"));
    for (const { code } of await Promise.all(streams.map(({ ended }) => ended))) expect(code).toBe(unauthenticated);
  }
  // Ten at once, and one a second from then on.
  expect(lines.length - before).toBeLessThan(250);
  const stream = (await mesh.connectAs("shop/gateway")).open("sotw");
  askForClusters(stream);
  expect((await stream.next()).typeUrl).toBe(typeUrls.cds);
});
