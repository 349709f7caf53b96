/** What a gateway's Envoy does with hosts and ports that come and go while it runs, in delta mode. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type EnvoyProcess, eventually, startEnvoy } from "./envoy-process.ts";
import { type Answer, ask, startUpstream, type Upstream } from "./upstreams.ts";

const source = createMemorySource();
const stops: (() => Promise<void>)[] = [];
const ports = { http: 0, late: 0 };
let controlPlane: ControlPlane;
let envoy: EnvoyProcess;
let shop: Upstream;
let docs: Upstream;

beforeAll(async () => {
  [shop, docs] = [await startUpstream("shop"), await startUpstream("docs")];
  stops.push(shop.stop, docs.stop);
  for (const name of ["http", "late"] as const) ports[name] = await findFreePort();
  const mtls =
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: DISABLE}}}";
  apply(mtls, service("shop", shop.port), service("docs", docs.port));
  apply(gateway(httpServer("http", "*.test")), virtualService("shop"), virtualService("docs"));
  controlPlane = await startTestControlPlane({ source });
  stops.push(controlPlane.stop);
  const [host = "", port = ""] = controlPlane.grpcAddress.split(":");
  envoy = await startEnvoy({
    ...{ name: "ingress", namespace: "istio-system", type: "router", ip: "127.0.0.9", delta: true },
    labels: { istio: "ingressgateway" },
    discovery: { host, port: Number(port) },
  });
  stops.push(envoy.stop);
}, 120_000);

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

/** Applies documents; a message about any of them fails the test. */
function apply(...documents: readonly string[]): void {
  expect(source.apply(documents.join("\n---\n"))).toEqual([]);
}

const get = (host: string, path = "/", port: keyof typeof ports = "http"): Promise<Answer> =>
  ask({ port: ports[port], path, host });

describe("hosts", () => {
  it("lead to their services", async () => {
    await eventually("shop answers", async () => (await get("shop.test")).seen?.upstream === "shop");
    expect((await get("docs.test", "/page?q=1")).seen).toMatchObject({ upstream: "docs", path: "/page?q=1" });
    expect((await get("SHOP.test")).seen?.upstream).toBe("shop");
    expect((await get(`shop.test:${ports.http}`)).seen?.upstream).toBe("shop");
    expect((await get("nobody.test")).status).toBe(404);
    expect((await get("shop.elsewhere")).status).toBe(404);
  });

  it("are followed to another service", async () => {
    apply(virtualService("shop", "docs"));
    await eventually("docs answers for shop", async () => (await get("shop.test")).seen?.upstream === "docs");
    apply(virtualService("shop"));
    await eventually("shop answers again", async () => (await get("shop.test")).seen?.upstream === "shop");
  });

  it("are shut out when the server names them no more", async () => {
    apply(gateway(httpServer("http", "docs.test")));
    await eventually("shop is gone", async () => (await get("shop.test")).status === 404);
    expect((await get("docs.test")).seen?.upstream).toBe("docs");
  });
});

describe("ports", () => {
  it("are opened and closed with their servers", async () => {
    const isOpen = (): Promise<boolean> =>
      get("shop.test", "/", "late").then(
        ({ seen }) => seen?.upstream === "shop",
        () => false,
      );
    expect(await isOpen()).toBe(false);
    apply(gateway(httpServer("http", "*.test"), httpServer("late", "shop.test")));
    await eventually("the port serves", isOpen);
    expect((await get("docs.test", "/", "late")).status).toBe(404);
    apply(gateway(httpServer("http", "*.test")));
    await eventually("the port is closed", async () => {
      return await get("shop.test", "/", "late").then(
        () => false,
        () => true,
      );
    });
  });
});

it("the Envoy took all of that", async () => {
  const text = await envoy.admin("stats?filter=update_rejected|listener_create_failure");
  expect(text.split("\n").filter((line) => /: [1-9]/.test(line))).toEqual([]);
});

function service(name: string, port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.internal]
  ports: [{number: 80, name: main, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {main: ${port}}}]`;
}

function gateway(...servers: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [${servers.join(", ")}]`;
}

function httpServer(name: keyof typeof ports, host: string): string {
  return `{port: {number: ${ports[name]}, name: ${name}, protocol: HTTP}, bind: 127.0.0.1, hosts: ["${host}"]}`;
}

/** Leads "<name>.test" to "<destination>.internal". */
function virtualService(name: string, destination = name): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.test]
  gateways: [istio-system/edge]
  http: [{route: [{destination: {host: ${destination}.internal}}]}]`;
}
