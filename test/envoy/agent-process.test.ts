/** The agent's life with a real Envoy, or the companion proxy in its place, and a real control plane: start, readiness, metrics, drain and end. */
import { existsSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { findFreePort } from "../../tools/free-ports.ts";
import { startSecureMesh } from "../support/secure-mesh.ts";
import { type AgentProcess, type AgentProcessOptions, isRunning, startAgentProcess } from "./agent-process.ts";
import { companionProgram, type DataPlane, dataPlanes, eventually } from "./envoy-process.ts";

/** A sidecar that takes HTTP on `inbound` and passes it to `application`. */
const sidecarOf = (inbound: number, application: number): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: server, namespace: shop}
spec:
  workloadSelector: {labels: {app: server}}
  ingress:
  - port: {number: ${inbound}, name: http, protocol: HTTP}
    bind: 127.0.0.1
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:${application}
  egress:
  - hosts: ["./*"]
`;

interface Application {
  readonly port: number;
  /** Requests that wait for their answer. */
  waiting(): number;
  /** Lets those that wait, and all later ones, have their answer. */
  release(): void;
}

/** An application whose answers are held back until they are released; /metrics is answered at once. */
async function startApplication(metrics = ""): Promise<Application> {
  const held: (() => void)[] = [];
  let isReleased = false;
  const server = createServer((incoming, response) => {
    if (incoming.url === "/metrics") return response.writeHead(200, { "content-type": "text/plain" }).end(metrics);
    const answer = (): void => void response.end("done");
    if (isReleased || incoming.url === "/now") return answer();
    held.push(answer);
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    waiting: () => held.length,
    release() {
      isReleased = true;
      for (const answer of held.splice(0)) answer();
    },
  };
}

/** The status of one request on a connection of its own; 0 where it was cut. */
function call(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const outgoing = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      response.resume();
      response.on("error", () => resolve(0));
      response.on("end", () => resolve(response.complete ? (response.statusCode ?? 0) : 0));
    });
    outgoing.on("error", () => resolve(0));
    outgoing.end();
  });
}

interface Running {
  readonly agent: AgentProcess;
  readonly application: Application;
  readonly inbound: number;
}

async function startServer(
  dataPlane: DataPlane,
  options: Partial<AgentProcessOptions> = {},
  metrics = "",
): Promise<Running> {
  const application = await startApplication(metrics);
  const inbound = await findFreePort();
  const mesh = await startSecureMesh(sidecarOf(inbound, application.port));
  const agent = await startAgentProcess(mesh, {
    name: "server",
    ...(dataPlane === "companion" && { binary: companionProgram }),
    ...options,
    environment: {
      ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ scrape: "true", port: String(application.port) }),
      ...options.environment,
    },
  });
  await becomesReady(agent);
  return { agent, application, inbound };
}

async function becomesReady(agent: AgentProcess): Promise<void> {
  await eventually("the agent is ready", async () => {
    if (agent.child.exitCode !== null) throw new Error("it ended");
    return (await fetch(`http://127.0.0.1:${agent.ports.ready}/healthz/ready`)).status === 200;
  }).catch((cause: unknown) => {
    throw new Error(`${String(cause)}\n${agent.log()}`);
  });
}

describe.each(dataPlanes)("the agent's start with %s", (dataPlane) => {
  it("brings Envoy up with a certificate of the CA, and serves", async () => {
    const { agent, inbound } = await startServer(dataPlane, {}, "# TYPE shop_orders counter\nshop_orders 7\n");
    expect(await call(inbound, "/now")).toBe(200);

    const info = JSON.parse(await agent.admin("server_info")) as Record<string, unknown>;
    expect(info).toMatchObject({
      node: { id: "sidecar~127.0.0.1~server-1.shop~shop.svc.cluster.local", cluster: "server.shop" },
      command_line_options: { concurrency: 1, drain_strategy: "Immediate", disable_hot_restart: true },
    });
    expect(await agent.admin("certs")).toContain("spiffe://cluster.local/ns/shop/sa/server");

    const page = await agent.ask("/stats/prometheus", { headers: { accept: "text/plain" } });
    const text = await page.text();
    expect(page.headers.get("content-type")).toContain("text/plain");
    for (const name of ["istio_agent_startup_duration_seconds ", "envoy_server_state", "shop_orders 7"]) {
      expect(text).toContain(name);
    }
    expect(text).toMatch(/istio_agent_cert_expiry_seconds\{resource_name="default"\} \d{4,}/);
    expect(text).toContain("istio_agent_xds_connected 1");
  });

  it("says what is wrong with its settings", async () => {
    const mesh = await startSecureMesh(sidecarOf(1, 2));
    const agent = await startAgentProcess(mesh, { name: "server", proxyConfig: { drainDuration: "soon" } });
    expect(await agent.exitCode).toBe(1);
    expect(agent.log()).toContain("ProxyConfig: drainDuration must be a duration");
  });
});

describe.each(dataPlanes)("the agent's end with %s", (dataPlane) => {
  it("loses no request in flight when it is asked to end, and says at once that it is not ready", async () => {
    const { agent, application, inbound } = await startServer(dataPlane, {
      proxyConfig: { terminationDrainDuration: "30s" },
    });
    const envoy = agent.envoyPid();
    const calls = Array.from({ length: 8 }, (_, index) => call(inbound, `/${index}`));
    await eventually("all requests have arrived", async () => application.waiting() === 8);
    agent.child.kill("SIGTERM");
    await eventually("it is not ready", async () => (await agent.ask("/healthz/ready")).status === 503);
    // Callers that have not heard of it yet are served.
    const late = call(inbound, "/now");
    expect(await late).toBe(200);
    expect(isRunning(envoy)).toBe(true);
    application.release();
    expect(await Promise.all(calls)).toEqual(Array(8).fill(200));
    // What is in flight is done: the rest of the drain need not be waited for.
    await agent.ask("/quitquitquit", { method: "POST" });
    expect(await agent.exitCode).toBe(0);
    expect(isRunning(envoy)).toBe(false);
    expect(existsSync(join(agent.folder, "etc/istio/proxy/XDS"))).toBe(false);
  });

  it("ends when the drain's time is over", async () => {
    const { agent } = await startServer(dataPlane, { proxyConfig: { terminationDrainDuration: "1s" } });
    agent.child.kill("SIGTERM");
    expect(await agent.exitCode).toBe(0);
    expect(agent.log()).toContain("draining Envoy");
  });

  it("drains for a hook without ending, and ends at once after that", async () => {
    const { agent, inbound } = await startServer(dataPlane, { proxyConfig: { terminationDrainDuration: "600s" } });
    expect((await agent.ask("/drain")).status).toBe(405);
    expect(await (await agent.ask("/drain", { method: "POST" })).text()).toBe("OK");
    await eventually("it is not ready", async () => (await agent.ask("/healthz/ready")).status === 503);
    expect(await call(inbound, "/now")).toBe(200);
    agent.child.kill("SIGTERM");
    // Not within 600 seconds: the test's own limit would be over.
    expect(await agent.exitCode).toBe(0);
  });

  it("ends when no connection is left, whatever the drain's time", async () => {
    const { agent, application, inbound } = await startServer(dataPlane, {
      proxyConfig: { terminationDrainDuration: "600s" },
      environment: { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true", MINIMUM_DRAIN_DURATION: "100ms" },
    });
    const slow = call(inbound, "/slow");
    await eventually("the request has arrived", async () => application.waiting() === 1);
    agent.child.kill("SIGTERM");
    await eventually("it counts connections", async () => agent.log().includes("connections are still open"));
    application.release();
    expect(await slow).toBe(200);
    expect(await agent.exitCode).toBe(0);
  });

  it("ends with Envoy's end, and says how that was", async () => {
    const { agent } = await startServer(dataPlane);
    process.kill(agent.envoyPid(), "SIGKILL");
    expect(await agent.exitCode).toBe(137);
    expect(agent.log()).toContain("Envoy was ended by SIGKILL, perhaps for want of memory");
  });

  it("passes on the code of a proxy that ends", async () => {
    const mesh = await startSecureMesh(sidecarOf(1, 2));
    const agent = await startAgentProcess(mesh, { name: "server", binary: "/bin/false" });
    expect(await agent.exitCode).toBe(1);
    expect(agent.log()).toContain("Envoy ended with code 1");
  });
});
