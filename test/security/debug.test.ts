/** Debug pages over HTTP and xDS: closed to strangers, and of other namespaces nothing (CVE-2026-31838; F-10). */
import { decode } from "@meltemi/protos";
import { expect, test } from "vitest";
import { generators } from "../../src/bootstrap/generators.ts";
import { debugPages } from "../../src/http/debug/pages.ts";
import { createHttpServer } from "../../src/http/http-server.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import type { ConnectionView, DebugPort } from "../../src/http/ports.ts";
import { silentLog } from "../../src/lib/log.ts";
import { parseNode } from "../../src/model/node.ts";
import { createSnapshotBuilder } from "../../src/snapshot/build.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { gatewayNode, startSecureMesh } from "../support/secure-mesh.ts";
import type { Variant, XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const debugType = "istio.io/debug";
const [invalidArgument, permissionDenied, unauthenticated] = [3, 7, 16];
const pages = debugPages.map(({ path }) => path);
const ofNamespaces = ["config_dump", "edsz", "ndsz"];

const outside = "10.0.0.9";

function connectionOf(namespace: string): ConnectionView {
  const proxy = parseNode({
    id: `sidecar~10.0.0.1~app.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace },
  });
  if (typeof proxy === "string") throw new Error(proxy);
  return { connectionId: `app.${namespace}-1`, connectedAtMs: 0, address: "10.0.0.1:1", proxy, watches: new Map() };
}

async function startPages() {
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  const source = createMemorySource();
  await source.start({ apply: (changeSet) => void builder.apply(changeSet) });
  const port: DebugPort = {
    snapshot: () => builder.current,
    generators,
    listConnections: () => [connectionOf("shop"), connectionOf("bank")],
    listCachedResources: () => [],
    clearCache: () => undefined,
    pushAll: () => 0,
  };
  const server = createHttpServer({
    status: { isReady: () => true, describe: () => "", version: "1" },
    metrics: createMetrics({ debug: port, version: "1", uptimeSeconds: () => 1 }),
    debug: {
      port,
      access: {
        // A token is "of-" and a namespace; anything else proves nothing.
        authenticate: async ([token]) => /^of-(.*)$/.exec(token?.reveal() ?? "")?.[1],
        rules: { checksNamespace: true, systemNamespace: () => "istio-system", allowedNamespaces: new Set() },
      },
    },
    log: silentLog,
  });
  const ask = async (remoteAddress: string, path: string, token?: string) => {
    const headers = {
      // What a header claims about the origin changes nothing.
      "x-forwarded-for": "127.0.0.1",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const { statusCode, body } = await server.inject({ url: `/debug/${path}`, remoteAddress, headers });
    return { status: statusCode, body };
  };
  return { ask, stop: () => server.close() };
}

test("CVE-2026-31838 debug pages over HTTP are closed to strangers and show nothing of other namespaces", async () => {
  const { ask, stop } = await startPages();
  try {
    for (const page of pages) {
      for (const token of [undefined, "x", "shop"]) {
        expect(await ask(outside, `${page}?proxyID=app.shop`, token), page).toEqual({ status: 401, body: "" });
      }
      const own = await ask(outside, `${page}?proxyID=app.shop`, "of-shop");
      expect(own.status, page).toBe(ofNamespaces.includes(page) ? 200 : 403);
      if (own.status === 403) expect(own.body).toBe("");
      const foreign = await ask(outside, `${page}?proxyID=app.bank`, "of-shop");
      expect(foreign.status, page).toBe(ofNamespaces.includes(page) ? 404 : 403);
      for (const [host, token] of [[outside, "of-istio-system"], ["127.0.0.1"]] as const) {
        expect((await ask(host, `${page}?proxyID=app.bank`, token)).status, page).toBe(page === "clusterz" ? 400 : 200);
      }
    }
    expect((await ask(outside, "registryz", "of-")).status).toBe(403);
  } finally {
    await stop();
  }
});

function askDebug(stream: XdsStream, node: ReturnType<typeof gatewayNode>, names: readonly string[], type = debugType) {
  if (stream.variant === "delta")
    (stream as XdsStream<"delta">).send({ node, type_url: type, resource_names_subscribe: names });
  else (stream as XdsStream<"sotw">).send({ node, type_url: type, resource_names: names });
}

for (const variant of ["sotw", "delta"] satisfies readonly Variant[]) {
  test(`F-10 debug pages over xDS need an identity (${variant})`, async () => {
    const mesh = await startSecureMesh("");
    const { XdsClient } = await import("../support/xds-client.ts");
    const plain = new XdsClient(mesh.controlPlane.grpcAddress);
    try {
      for (const type of [debugType, `${debugType}/syncz`, `${debugType}/config_dump`]) {
        const stream = plain.open(variant);
        askDebug(stream, gatewayNode("istio-system", "x"), ["syncz"], type);
        expect((await stream.ended).code, type).toBe(unauthenticated);
      }
    } finally {
      plain.close();
    }
  });

  test(`F-10 debug pages over xDS show nothing of other namespaces (${variant})`, async () => {
    const mesh = await startSecureMesh("");
    const other = (await mesh.connectAs("bank/app")).open(variant);
    askDebug(other, gatewayNode("bank", "app"), [], typeUrls.cds);
    await other.next();
    const client = await mesh.connectAs("shop/app");
    const node = gatewayNode("shop", "app");
    for (const page of pages.filter((name) => !ofNamespaces.includes(name))) {
      const stream = client.open(variant);
      askDebug(stream, node, [page]);
      expect((await stream.ended).code, page).toBe(permissionDenied);
    }
    for (const page of ofNamespaces) {
      const stream = client.open(variant);
      askDebug(stream, node, [`${page}?proxyID=gw.bank`]);
      expect(await readBody(stream), page).toContain("Proxy not connected");
      const own = client.open(variant);
      askDebug(own, node, [`${page}?proxyID=gw.shop`]);
      expect(JSON.parse(await readBody(own)), page).toHaveProperty("configs");
    }
    const states = client.open(variant);
    askDebug(states, node, [], `${debugType}/syncz`);
    const { resources } = await states.next();
    const ids = resources.map(({ bytes }) => decode("envoy.service.status.v3.ClientConfig", bytes).node?.id);
    expect(new Set(ids)).toEqual(new Set(["gw.shop"]));
  });

  test(`F-10 the system namespace sees every page over xDS (${variant})`, async () => {
    const mesh = await startSecureMesh("");
    const client = await mesh.connectAs("istio-system/admin");
    const node = gatewayNode("istio-system", "admin");
    const stream = client.open(variant);
    askDebug(stream, node, ["registryz"]);
    expect(JSON.parse(await readBody(stream))).toEqual([]);
    for (const names of [[], ["registryz", "syncz"]]) {
      const refused = client.open(variant);
      askDebug(refused, node, names);
      expect((await refused.ended).code).toBe(invalidArgument);
    }
  });
}

async function readBody(stream: XdsStream): Promise<string> {
  const { resources, typeUrl } = await stream.next();
  expect(typeUrl).toBe(debugType);
  expect(resources).toHaveLength(1);
  return Buffer.from(resources[0]?.bytes ?? new Uint8Array()).toString("utf8");
}
