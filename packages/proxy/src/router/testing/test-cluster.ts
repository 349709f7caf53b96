/** A cluster over node:http, for tests of the router: hosts are taken in turn. */
import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { BodySource } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import type { StatsRegistry } from "../../lib/stats-registry.ts";
import {
  type AttemptResult,
  type Breaker,
  type Host,
  type LoadBalancerContext,
  type PendingRequest,
  type UpstreamCluster,
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from "../../upstream/types.ts";

export interface TestCluster extends Omit<UpstreamCluster, "chooseHost"> {
  readonly stats: StatsRegistry;
  readonly contexts: LoadBalancerContext[];
  readonly reports: AttemptResult[];
  readonly sent: UpstreamRequest[];
  chooseHost: UpstreamCluster["chooseHost"];
  /** Most retries at once. */
  maxRetries: number;
  close(): void;
}

export function createTestCluster(name: string, ports: readonly number[], changes: Partial<Host> = {}): TestCluster {
  const agent = new Agent({ keepAlive: false });
  const hosts = ports.map((port) => createHost(port, changes));
  let next = 0;
  let retries = 0;
  const unlimited: Breaker = { take: () => true, release: () => undefined };
  const cluster: TestCluster = {
    name,
    wire: { name },
    stats: createStatsRegistry(),
    metadata: {},
    connectTimeoutMs: 1000,
    bufferLimit: 1024 * 1024,
    contexts: [],
    reports: [],
    sent: [],
    maxRetries: 3,
    chooseHost(context) {
      cluster.contexts.push(context);
      const allowed = hosts.filter((host) => !context.avoid?.has(host));
      const host = (allowed.length > 0 ? allowed : hosts)[next++ % (allowed.length || hosts.length)];
      if (host === undefined) throw new UpstreamError("no-healthy-upstream");
      return host;
    },
    breakers: () => ({
      ...{ connections: unlimited, pendingRequests: unlimited, requests: unlimited, connectionPools: unlimited },
      retries: {
        take() {
          if (retries >= cluster.maxRetries) return false;
          retries += 1;
          return true;
        },
        release() {
          retries -= 1;
        },
      },
    }),
    send(host, request) {
      cluster.sent.push({ ...request, headers: request.headers.clone() });
      return send(host, request, agent);
    },
    connect(host) {
      const stream = connect(host.port, host.ip);
      return new Promise((resolve, reject) => {
        stream.once("connect", () => resolve({ stream, localAddress: "127.0.0.1:1", close: () => stream.destroy() }));
        stream.once("error", (cause) => reject(new UpstreamError("connection-failure", { host, cause })));
      });
    },
    report: (_host, result) => cluster.reports.push(result),
    listHosts: () => hosts,
    close: () => agent.destroy(),
  };
  return cluster;
}

function createHost(port: number, changes: Partial<Host>): Host {
  return {
    address: `127.0.0.1:${port}`,
    ip: "127.0.0.1",
    port,
    hostname: "",
    locality: { region: "", zone: "", sub_zone: "" },
    priority: 0,
    weight: 1,
    endpoint: {},
    metadata: {},
    health: "healthy",
    activeRequests: 0,
    ...changes,
  };
}

function send(host: Host, request: UpstreamRequest, agent: Agent): PendingRequest {
  const headers = [...request.headers.raw, "host", request.authority];
  const { method, path, body } = request;
  const client = httpRequest({ host: host.ip, port: host.port, method, path, headers, agent });
  const response = new Promise<UpstreamResponse>((resolve, reject) => {
    let isConnected = false;
    client.once("socket", (socket) => {
      socket.once("connect", () => {
        isConnected = true;
        request.onSent?.("127.0.0.1:1");
      });
    });
    client.on("information", ({ statusCode }) => request.onInformation?.(statusCode, new HeaderList()));
    client.once("response", (message) => resolve(toResponse(message)));
    client.once("error", (cause) => {
      const failure = isConnected ? "connection-termination" : "connection-failure";
      reject(new UpstreamError(failure, { host, isSent: isConnected, cause }));
    });
  });
  if (body === undefined) client.end();
  else pipeBody(body, client);
  return { response, cancel: () => client.destroy() };
}

function pipeBody(body: BodySource, client: ClientRequest): void {
  client.on("drain", () => body.resume());
  client.once("close", () => body.cancel());
  body.pipe({
    write: (chunk) => client.write(chunk),
    end: () => client.end(),
    abort: () => client.destroy(),
  });
}

function toResponse(message: IncomingMessage): UpstreamResponse {
  const status = message.statusCode ?? 0;
  const headers = HeaderList.fromRaw(message.rawHeaders);
  if (headers.get("content-length") === "0") {
    message.resume();
    return { status, headers, body: undefined, protocol: "HTTP/1.1" };
  }
  const body: BodySource = {
    pipe(sink) {
      message.on("data", (chunk: Uint8Array) => {
        if (!sink.write(chunk)) message.pause();
      });
      message.once("end", () => sink.end());
      message.once("error", (cause) => sink.abort(new UpstreamError("connection-termination", { cause })));
    },
    resume: () => message.resume(),
    cancel: () => message.destroy(),
  };
  return { status, headers, body, protocol: "HTTP/1.1" };
}
