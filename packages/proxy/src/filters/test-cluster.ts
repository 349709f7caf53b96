/** A cluster for the tests of filters that call services: its one host answers what a function says. */
import { bodyOf, collect } from "../http/body.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import {
  type ClusterManager,
  type Host,
  type UpstreamCluster,
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from "../upstream/types.ts";
import { toHeaders } from "./test-exchange.ts";

export interface TestServiceRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface TestServiceAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** "never" leaves a request without an answer, "reset" breaks it off. */
export type TestService = (request: TestServiceRequest) => TestServiceAnswer | "never" | "reset";

export const testHost: Host = {
  address: "127.0.0.1:1",
  ip: "127.0.0.1",
  port: 1,
  hostname: "",
  locality: { region: "", zone: "", sub_zone: "" },
  priority: 0,
  weight: 1,
  endpoint: {},
  metadata: {},
  health: "healthy",
  activeRequests: 0,
};

export function createTestCluster(
  name: string,
  answer: TestService,
  hosts: readonly Host[] = [testHost],
): ClusterManager {
  const breaker = { take: () => true, release: () => undefined };
  const breakers = {
    connections: breaker,
    pendingRequests: breaker,
    requests: breaker,
    retries: breaker,
    connectionPools: breaker,
  };
  const cluster: UpstreamCluster = {
    name,
    wire: { name },
    stats: createStatsRegistry().scope(`cluster.${name}`),
    metadata: {},
    connectTimeoutMs: 1000,
    bufferLimit: 1024,
    chooseHost: () => testHost,
    breakers: () => breakers,
    send: (_host, request) => ({ response: serve(request, answer), cancel: () => undefined }),
    connect: () => Promise.reject(new UpstreamError("connection-failure")),
    report: () => undefined,
    listHosts: () => hosts,
  };
  return { find: (wanted) => (wanted === name ? cluster : undefined), list: () => [cluster] };
}

async function serve(request: UpstreamRequest, answer: TestService): Promise<UpstreamResponse> {
  const { method, authority, path, headers } = request;
  const body = request.body ? (await collect(request.body, 1e8)).bytes : new Uint8Array();
  const result = answer({ method, authority, path, headers: Object.fromEntries(headers), body });
  if (result === "never") return new Promise(() => undefined);
  if (result === "reset") throw new UpstreamError("remote-reset");
  const trailers = result.trailers && toHeaders(result.trailers);
  const bytes = Buffer.from(result.body ?? "");
  return {
    status: result.status,
    headers: toHeaders(result.headers),
    body: result.body === undefined && !trailers ? undefined : bodyOf(bytes, trailers),
    protocol: "HTTP/1.1",
  };
}
