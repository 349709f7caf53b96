/**
 * The two HTTP ports, as istiod has them: 8080 for readiness and debug pages, 15014 for metrics, version and the same
 * pages.
 */
import { type FastifyInstance, type FastifyRequest, fastify } from "fastify";
import type { Log } from "../lib/log.ts";
import { SecretText } from "../lib/secret-text.ts";
import { authorizeDebug, type DebugAccess, type DebugReader } from "./debug/access.ts";
import { buildIndexPage } from "./debug/index-page.ts";
import { debugPages } from "./debug/pages.ts";
import { respondToDebug } from "./debug/respond.ts";
import { isLoopbackAddress } from "./loopback.ts";
import type { MetricsPage } from "./metrics.ts";
import type { DebugPort, StatusPort } from "./ports.ts";

export interface HttpAddress {
  /** "" means all addresses. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

/** The debug pages, and who may see them. */
export interface DebugService {
  readonly port: DebugPort;
  readonly access: DebugAccess;
}

export interface HttpServersOptions extends HttpPages {
  readonly httpAddress: HttpAddress;
  readonly monitoringAddress: HttpAddress;
}

export interface HttpPages {
  readonly status: StatusPort;
  readonly metrics: MetricsPage;
  /** Undefined where the debug pages are switched off. */
  readonly debug: DebugService | undefined;
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
  const servers = [createHttpServer({ ...options, log }), createHttpServer({ ...options, log })] as const;
  const [http, monitoring] = servers;
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

/** One server with every page; it does not listen yet. */
export function createHttpServer(options: HttpPages): FastifyInstance {
  const server = createServer(options.log);
  addReadiness(server, options.status);
  addVersion(server, options.status);
  addMetrics(server, options.metrics);
  if (options.debug !== undefined) addDebugPages(server, options.debug, options.log);
  return server;
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

function addDebugPages(server: FastifyInstance, { port, access }: DebugService, log: Log): void {
  const index = buildIndexPage(debugPages);
  server.get("/debug", (_request, reply) => reply.type("text/html; charset=utf-8").send(index));
  for (const { path } of debugPages) {
    server.get(`/debug/${path}`, async (request, reply) => {
      const reader = await findReader(request, path, access);
      if (typeof reader === "number") return reply.code(reader).send();
      const query = new URL(request.url, "http://meltemi").searchParams;
      const { status, contentType, body } = respondToDebug(path, query, { port, reader, log });
      return reply.code(status).type(contentType).send(body);
    });
  }
}

/**
 * As what a request may see a page: from this machine everything, from elsewhere what its token allows. A number is the
 * status that says why not: 401 for who proves nothing, 403 for who may not.
 */
async function findReader(
  request: FastifyRequest,
  page: string,
  { authenticate, rules }: DebugAccess,
): Promise<DebugReader | 401 | 403> {
  // The socket's own address: headers that name another one are not believed.
  if (isLoopbackAddress(request.socket.remoteAddress)) return { kind: "everything" };
  const namespace = await authenticate(readBearerTokens(request));
  if (namespace === undefined) return 401;
  return authorizeDebug(page, namespace, rules) ?? 403;
}

function readBearerTokens({ headers }: FastifyRequest): readonly SecretText[] {
  const [, token] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "") ?? [];
  return token === undefined ? [] : [new SecretText(token)];
}
