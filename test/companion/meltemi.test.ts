import { mkdtempSync, rmSync } from "node:fs";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../packages/proxy/src/lib/clock.ts";
import { startProxy } from "../../packages/proxy/src/server/start-proxy.ts";
import { buildEnvoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { startSecretServer } from "../../tools/run/file-secrets.ts";
import { createCertificateFolder } from "../envoy/behaviours/certificate-folder.ts";
import { startTestControlPlane } from "../support/control-plane.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startUpstream(): Promise<number> {
  const server = createServer(({ headers, url }, response) => response.end(`${headers.host} ${url}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** The workload's certificates, on a socket as an agent serves them: clusters with TLS wait for them. */
async function startSecrets(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-proxy-"));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const certificates = await createCertificateFolder();
  closers.push(certificates.stop);
  const find = await certificates.createFinder("spiffe://cluster.local/ns/istio-system/sa/default");
  const socket = join(folder, "secrets");
  const server = await startSecretServer(socket, { find, report: () => undefined });
  closers.push(server.stop);
  return socket;
}

const objects = (port: number, upstream: number, prefix: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo, namespace: shop}
spec:
  hosts: [echo.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: ${upstream}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["shop.test"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public, namespace: shop}
spec:
  hosts: [shop.test]
  gateways: [public]
  http:
  - match: [{uri: {prefix: ${prefix}}}]
    route: [{destination: {host: echo.test, port: {number: 80}}}]
`;

describe("startProxy with Meltemi as its control plane", () => {
  it.each([
    ["state of the world", false],
    ["delta", true],
  ])("serves a gateway, and follows changes, %s", async (_form, delta) => {
    const [port, upstream] = [await findFreePort(), await startUpstream()];
    const source = createMemorySource();
    expect(source.apply(objects(port, upstream, "/one"))).toEqual([]);
    const controlPlane = await startTestControlPlane({ source, limits: { debounceQuietMs: 0, drainMs: 500 } });
    closers.push(controlPlane.stop);
    const [host = "", xdsPort = ""] = controlPlane.grpcAddress.split(":");
    const json = buildEnvoyBootstrap({
      name: "ingress",
      namespace: "istio-system",
      type: "router",
      ip: "127.0.0.8",
      domain: "cluster.local",
      clusterId: "Kubernetes",
      labels: { istio: "ingressgateway" },
      serviceAccount: "default",
      interceptionMode: "NONE",
      discovery: { host, port: Number(xdsPort) },
      delta,
      adminPort: 0,
      secretsSocket: await startSecrets(),
    });
    const proxy = await startProxy({ bootstrap: { json }, clock: systemClock });
    closers.push(() => proxy.close());
    await proxy.live;
    const ask = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        get({ host: "127.0.0.1", port, path, headers: { host: "shop.test" } }, async (response) => {
          const text = (await response.toArray()).join("");
          resolve(response.statusCode === 200 ? text : String(response.statusCode));
        }).on("error", reject);
      });
    expect(await ask("/one")).toBe("shop.test /one");
    expect(await ask("/two")).toBe("404");
    source.apply(objects(port, upstream, "/two"));
    const end = performance.now() + 20_000;
    while ((await ask("/two")) === "404" && performance.now() < end)
      await new Promise((settle) => setImmediate(settle));
    expect([await ask("/one"), await ask("/two")]).toEqual(["404", "shop.test /two"]);
    const counters = proxy.stats.counters();
    expect(counters.get("cluster_manager.cds.update_rejected")).toBe(0);
    expect(counters.get("listener_manager.lds.update_rejected")).toBe(0);
  });
});
