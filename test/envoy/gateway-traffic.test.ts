/** What a gateway's Envoy does with hosts, ports and TLS, in delta mode; the source changes while it runs. */
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { createSelfSigned } from "../../tools/run/certificate.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type EnvoyProcess, eventually, findFreePort, startEnvoy } from "./envoy-process.ts";
import { type Answer, ask, startUpstream, type Upstream } from "./upstreams.ts";

const source = createMemorySource();
const stops: (() => Promise<void>)[] = [];
const ports = { http: 0, redirect: 0, tls: 0, late: 0 };
let controlPlane: ControlPlane;
let envoy: EnvoyProcess;
let shop: Upstream;
let docs: Upstream;
let securePort = 0;

beforeAll(async () => {
  [shop, docs] = [await startUpstream("shop"), await startUpstream("docs")];
  stops.push(shop.stop, docs.stop);
  securePort = await startSecureUpstream("secure");
  for (const name of ["http", "redirect", "tls", "late"] as const) ports[name] = await findFreePort();
  const mtls =
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: DISABLE}}}";
  apply(
    mtls,
    service("shop", "HTTP", shop.port),
    service("docs", "HTTP", docs.port),
    service("secure", "TLS", securePort),
  );
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

  it("redirect to HTTPS where the server says so", async () => {
    apply(gateway(httpServer("redirect", "*.test", "{httpsRedirect: true}")));
    await eventually("a redirect comes", async () => (await get("shop.test", "/a?b=c", "redirect")).status === 301);
    const answer = await get("shop.test", "/a?b=c", "redirect");
    expect(answer.headers.location).toBe("https://shop.test/a?b=c");
    expect(answer.seen).toBeUndefined();
  });
});

describe("TLS", () => {
  it("is passed through by the name of the server, unopened", async () => {
    const tls = `{port: {number: ${ports.tls}, name: tls, protocol: TLS}, bind: 127.0.0.1, hosts: ["*.test"], tls: {mode: PASSTHROUGH}}`;
    apply(gateway(tls), tlsRoute());
    await eventually(
      "the upstream answers",
      async () => (await readSecure("secure.test")) === "secure says secure.test",
    );
    await expect(readSecure("other.test")).rejects.toThrow();
  });
});

it("the Envoy took all of that", async () => {
  const text = await envoy.admin("stats?filter=update_rejected|listener_create_failure");
  expect(text.split("\n").filter((line) => /: [1-9]/.test(line))).toEqual([]);
});

function service(name: string, protocol: string, port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.internal]
  ports: [{number: 80, name: main, protocol: ${protocol}}]
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

function httpServer(name: keyof typeof ports, host: string, tls?: string): string {
  const suffix = tls === undefined ? "" : `, tls: ${tls}`;
  return `{port: {number: ${ports[name]}, name: ${name}, protocol: HTTP}, bind: 127.0.0.1, hosts: ["${host}"]${suffix}}`;
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

function tlsRoute(): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure, namespace: shop}
spec:
  hosts: [secure.test]
  gateways: [istio-system/edge]
  tls: [{match: [{port: ${ports.tls}, sniHosts: [secure.test]}], route: [{destination: {host: secure.internal}}]}]`;
}

/** A TLS server that tells the name that it was asked by; returns its port. */
function startSecureUpstream(name: string): Promise<number> {
  const { certificatePem, privateKeyPem } = createSelfSigned([`${name}.test`], Date.now());
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (socket) => {
    socket.on("error", () => undefined).end(`${name} says ${String(socket.servername)}`);
  });
  stops.push(() => new Promise((resolve) => server.close(() => resolve())));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

/** What the gateway's TLS port says to a client that asks for this server, whose own certificate it must show. */
function readSecure(servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: ports.tls, servername, rejectUnauthorized: false });
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("error", reject).on("end", () => resolve(text));
  });
}
