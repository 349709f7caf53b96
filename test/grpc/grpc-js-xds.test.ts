/** An independent client of xDS, gRPC's own for Node, resolves services through the control plane and follows changes. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { eventually } from "../envoy/envoy-process.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import type { Answers } from "./greeter-client.ts";

const source = createMemorySource();
const servers: Server[] = [];
const ports = { first: 0, second: 0 };
let controlPlane: ControlPlane;
let client: ChildProcess;

beforeAll(async () => {
  for (const name of ["first", "second"] as const) ports[name] = await startGreeter(name);
  controlPlane = await startTestControlPlane({ source });
  const bootstrap = {
    xds_servers: [
      { server_uri: controlPlane.grpcAddress, channel_creds: [{ type: "insecure" }], server_features: ["xds_v3"] },
    ],
    node: {
      id: "sidecar~127.0.0.1~client.ns~ns.svc.cluster.local",
      locality: {},
      metadata: { GENERATOR: "grpc", NAMESPACE: "ns", CLUSTER_ID: "Kubernetes" },
    },
  };
  client = fork(join(import.meta.dirname, "greeter-client.ts"), {
    env: { ...process.env, GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(bootstrap) },
    execPath: join(import.meta.dirname, "../../node_modules/.bin/node"),
    execArgv: [],
  });
});

afterAll(async () => {
  const ended = new Promise((resolve) => client.once("exit", resolve));
  if (client.kill("SIGKILL")) await ended;
  for (const server of servers) server.forceShutdown();
  await controlPlane.stop();
});

describe("a Kubernetes service", () => {
  const target = "xds:///greeter.ns.svc.cluster.local:9000";

  it("is resolved and called", async () => {
    source.apply(kubernetesGreeter(ports.first));
    await eventually("the first server answers", async () => (await call(target, 1))["first"] === 1);
    expect(await call(target, 20)).toEqual({ first: 20 });
  });

  it("is followed when its endpoints change", async () => {
    source.apply(kubernetesGreeter(ports.second));
    await eventually("the second server answers", async () => (await call(target, 1))["second"] === 1);
    expect(await call(target, 20)).toEqual({ second: 20 });
  });
});

describe("a service with subsets", () => {
  const target = "xds:///hello.example:9000";

  it("is called by the weights of its virtual service", async () => {
    source.apply([helloEntry(), helloRoute(100, 0)].join("\n---\n"));
    await eventually("the first server answers", async () => (await call(target, 1))["first"] === 1);
    expect(await call(target, 20)).toEqual({ first: 20 });
  });

  it("is followed when the weights change", async () => {
    source.apply(helloRoute(0, 100));
    await eventually("the second server answers", async () => (await call(target, 1))["second"] === 1);
    expect(await call(target, 20)).toEqual({ second: 20 });
    source.apply(helloRoute(50, 50));
    await eventually("both servers answer", async () => Object.keys(await call(target, 10)).length === 2);
    const counts = await call(target, 200);
    // 200 throws of a coin: fewer than 60 of either side happens once in 100 million times.
    expect(counts["first"]).toBeGreaterThan(60);
    expect(counts["second"]).toBeGreaterThan(60);
    expect(Object.keys(counts)).toHaveLength(2);
  });
});

describe("the control plane", () => {
  it("has an acknowledgement for everything that the client was sent", async () => {
    interface Status {
      readonly proxy: string;
      readonly resources: Readonly<Record<string, { sent: string; acked: string; lastError?: string }>>;
    }
    const ask = async (): Promise<readonly Status[]> => {
      const response = await fetch(`http://127.0.0.1:${controlPlane.monitoringPort}/debug/syncz`);
      return (await response.json()) as readonly Status[];
    };
    const [status] = await ask();
    expect(status?.proxy).toBe("client.ns");
    const statuses = Object.entries(status?.resources ?? {});
    expect(statuses.map(([typeUrl]) => typeUrl.split(".").at(-1)).sort()).toEqual([
      "Cluster",
      "ClusterLoadAssignment",
      "Listener",
      "RouteConfiguration",
    ]);
    for (const [typeUrl, { sent, acked, lastError }] of statuses) {
      expect({ typeUrl, acked, lastError }).toEqual({ typeUrl, acked: sent, lastError: undefined });
    }
  });
});

/** A real server that answers with its name; returns its port. */
async function startGreeter(name: string): Promise<number> {
  const server = new Server();
  const keep = (bytes: Buffer): Buffer => bytes;
  const greet = {
    ...{ path: "/test.Greeter/Greet", requestStream: false, responseStream: false },
    ...{ requestSerialize: keep, requestDeserialize: keep, responseSerialize: keep, responseDeserialize: keep },
  } as const;
  server.addService({ greet }, { greet: (_call: unknown, reply: Reply) => reply(null, Buffer.from(name)) });
  servers.push(server);
  return await new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}
type Reply = (error: null, bytes: Buffer) => void;

function call(target: string, calls: number): Promise<Answers> {
  return new Promise((resolve, reject) => {
    if (client.exitCode !== null) return reject(new Error("the client ended"));
    client.once("message", (answers) => resolve(answers as Answers));
    client.send({ target, calls });
  });
}

function kubernetesGreeter(port: number): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: greeter, namespace: ns}
spec: {clusterIP: 10.96.0.1, ports: [{name: grpc, port: 9000, targetPort: ${port}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata: {name: greeter-1, namespace: ns, labels: {kubernetes.io/service-name: greeter}}
ports: [{name: grpc, port: ${port}, protocol: TCP}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]`;
}

function helloEntry(): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hello, namespace: ns}
spec:
  hosts: [hello.example]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints:
  - {address: 127.0.0.1, ports: {grpc: ${ports.first}}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {grpc: ${ports.second}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hello, namespace: ns}
spec:
  host: hello.example
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]`;
}

function helloRoute(v1: number, v2: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello, namespace: ns}
spec:
  hosts: [hello.example]
  http:
  - route:
    - {destination: {host: hello.example, subset: v1}, weight: ${v1}}
    - {destination: {host: hello.example, subset: v2}, weight: ${v2}}`;
}
