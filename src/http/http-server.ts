/**
 * The two HTTP ports, as istiod has them: 8080 for readiness and debug pages, 15014 for metrics, version and the same
 * pages.
 */
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Log } from "../lib/log.ts";
import { buildIndexPage } from "./debug/index-page.ts";
import { debugPages } from "./debug/pages.ts";
import { replyText } from "./debug/reply.ts";
import { isLoopbackAddress } from "./loopback.ts";
import type { MetricsPage } from "./metrics.ts";
import type { DebugPort, StatusPort } from "./ports.ts";

export interface HttpAddress {
  /** "" means all addresses. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

export interface HttpServersOptions {
  readonly httpAddress: HttpAddress;
  readonly monitoringAddress: HttpAddress;
  readonly status: StatusPort;
  readonly metrics: MetricsPage;
  /** Undefined where the debug pages are switched off. */
  readonly debug: DebugPort | undefined;
  readonly log: Log;
}

export interface HttpServers {
  /** Ports that are listened on; they differ from the wanted ones where those were 0. */
  readonly httpPort: number;
  readonly monitoringPort: number;
  /** Stops to listen, lets running requests end and closes idle connections. */
  stop(): Promise<void>;
}

/** Starts both ports. Rejects where one cannot be listened on, and then leaves none open. */
export async function startHttpServers(options: HttpServersOptions): Promise<HttpServers> {
  const log = options.log.child({ component: "http" });
  const servers = [createServer(log), createServer(log)] as const;
  const [http, monitoring] = servers;
  for (const server of servers) {
    addReadiness(server, options.status);
    addVersion(server, options.status);
    addMetrics(server, options.metrics);
    if (options.debug !== undefined) addDebugPages(server, options.debug, log);
  }
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
  };
  try {
    await listen(http, options.httpAddress);
    await listen(monitoring, options.monitoringAddress);
  } catch (cause) {
    await stop();
    throw cause;
  }
  return { httpPort: boundPort(http), monitoringPort: boundPort(monitoring), stop };
}

/** Listens; "" means all addresses of both families, or of IPv4 alone on a machine without IPv6. */
async function listen(server: FastifyInstance, { host, port }: HttpAddress): Promise<void> {
  try {
    await server.listen({ host: host === "" ? "::" : host, port });
  } catch (cause) {
    const noIpv6 = cause instanceof Error && "code" in cause && cause.code === "EAFNOSUPPORT";
    if (host !== "" || !noIpv6) throw cause;
    await server.listen({ host: "0.0.0.0", port });
  }
}

function boundPort(server: FastifyInstance): number {
  const address = server.server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function createServer(log: Log): FastifyInstance {
  // Nothing here takes a body; a client that is slow to send its request is cut.
  const server = fastify({ bodyLimit: 1024, requestTimeout: 10_000, forceCloseConnections: "idle" });
  server.setErrorHandler((error, request, reply) => {
    log.error("a page failed", { path: request.url, error });
    return reply.code(500).type("text/plain").send("internal error; see the log\n");
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).type("text/plain").send("404 page not found\n"));
  return server;
}

function addReadiness(server: FastifyInstance, status: StatusPort): void {
  server.get("/ready", (_request, reply) => {
    const text = status.describe();
    return reply
      .code(status.isReady() ? 200 : 503)
      .type("text/plain")
      .send(text === "" ? "" : `${text}\n`);
  });
}

function addVersion(server: FastifyInstance, status: StatusPort): void {
  server.get("/version", (_request, reply) => reply.type("text/plain").send(status.version));
}

function addMetrics(server: FastifyInstance, metrics: MetricsPage): void {
  server.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()));
}

function addDebugPages(server: FastifyInstance, port: DebugPort, log: Log): void {
  const index = buildIndexPage(debugPages);
  server.get("/debug", (_request, reply) => reply.type("text/html; charset=utf-8").send(index));
  for (const { path, handle } of debugPages) {
    server.get(`/debug/${path}`, { onRequest: onlyFromThisMachine }, (request, reply) => {
      const query = new URL(request.url, "http://meltemi").searchParams;
      const { status, contentType, body } = respond(() => handle({ query, port }), path, log);
      return reply.code(status).type(contentType).send(body);
    });
  }
}

/** A page that fails says so, and the next one is served. */
function respond<Reply>(handle: () => Reply, path: string, log: Log): Reply | ReturnType<typeof replyText> {
  try {
    return handle();
  } catch (error) {
    log.error("a debug page failed", { path, error });
    return replyText(500, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}

async function onlyFromThisMachine(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  // The socket's own address: headers that name another one are not believed.
  if (!isLoopbackAddress(request.socket.remoteAddress)) await reply.code(401).send();
}
