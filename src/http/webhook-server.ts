/**
 * The HTTPS port of the webhooks, 15017 as istiod has it. Anybody in the cluster can reach it before anything is proved:
 * every size, time and number is bounded, and nothing that comes in ends the process.
 */
import type { Server as HttpsServer } from "node:https";
import { type FastifyError, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Log } from "../lib/log.ts";
import type { ReviewAnswer } from "../webhook/admission-review.ts";
import { type InjectionMetrics, injectionTime } from "../webhook/metrics.ts";

/** What the server shows to prove itself, and news of it. */
export interface ServedCertificates {
  current(): { readonly chain: string; readonly privateKey: { reveal(): string } };
  onChange(run: () => void): () => void;
}

export interface WebhookServerOptions {
  /** Port 0 takes any free one; host "" means all addresses. */
  readonly address: { readonly host: string; readonly port: number };
  readonly certificates: ServedCertificates;
  /** Answers the review that a body holds; the body is JSON of unknown content. */
  readonly validate: (review: unknown) => ReviewAnswer;
  /** What answers about pods; not given where pods are not injected. */
  readonly inject?: ServedInjection;
  /** False: everything is answered with 503, so that the API server asks another replica. */
  readonly isReady: () => boolean;
  readonly metrics: InjectionMetrics;
  readonly log: Log;
}

export interface ServedInjection {
  /** Answers a review that came to a path below /inject; `path` is what follows that, decoded, such as "cluster/east". */
  readonly answer: (review: unknown, path: string) => ReviewAnswer;
  /** Why no pod is answered about now (503, so that none comes up without its sidecar); undefined where they are. */
  readonly findObstacle: () => string | undefined;
}

export interface WebhookServer {
  /** The port that is listened on. */
  readonly port: number;
  /** Stops to listen, lets running requests end and closes idle connections. */
  stop(): Promise<void>;
}

/** Twice what etcd stores of an object (1.5 MiB), for the old and the new one, and the frame. */
const longestBody = 6 * 1024 * 1024;
const mostConnections = 512;
/** An API server sends at once; only somebody who wants to hold a connection is slow. */
const [headersTimeoutMs, requestTimeoutMs, handshakeTimeoutMs] = [5_000, 10_000, 5_000];
/** How often connections are held against those times. */
const checkingIntervalMs = 1_000;
/** Longer than API servers keep an idle connection (90 s), so that theirs is the end that closes. */
const keepAliveMs = 100_000;

const tls = {
  minVersion: "TLSv1.2",
  // AEAD suites with forward secrecy alone.
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
  honorCipherOrder: true,
} as const;

/** Starts the server. Rejects where the port cannot be listened on. */
export async function startWebhookServer(options: WebhookServerOptions): Promise<WebhookServer> {
  const log = options.log.child({ component: "webhook" });
  const secureContext = (): object => {
    const { chain, privateKey } = options.certificates.current();
    return { ...tls, cert: chain, key: privateKey.reveal() };
  };
  const server = createServer(secureContext(), { ...options, log });
  const endRenewal = options.certificates.onChange(() => renew(server.server, secureContext, log));
  const { host, port } = options.address;
  try {
    await listen(host, (actual) => server.listen({ host: actual, port }));
  } catch (cause: unknown) {
    endRenewal();
    throw cause;
  }
  const bound = server.server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    async stop() {
      endRenewal();
      await server.close();
    },
  };
}

/** Connections that are open stay; new ones see the new certificate. */
function renew(server: HttpsServer, secureContext: () => object, log: Log): void {
  try {
    server.setSecureContext(secureContext());
  } catch (error: unknown) {
    log.error("the new serving certificate cannot be used; the old one stays", { error });
  }
}

/** "" means all addresses of both families, or of IPv4 alone on a machine without IPv6. */
async function listen(host: string, start: (host: string) => Promise<unknown>): Promise<void> {
  try {
    await start(host === "" ? "::" : host);
  } catch (cause: unknown) {
    const noIpv6 = cause instanceof Error && "code" in cause && cause.code === "EAFNOSUPPORT";
    if (host !== "" || !noIpv6) throw cause;
    await start("0.0.0.0");
  }
}

/** One webhook, below whose path everything is its own: API servers send what the configuration names. */
interface Route {
  readonly path: "/validate" | "/inject";
  /** `below` is what follows the path. */
  readonly answer: (review: unknown, below: string) => ReviewAnswer;
  readonly findObstacle: () => string | undefined;
}

function listRoutes({ validate, inject, isReady }: WebhookServerOptions): readonly Route[] {
  const findUnready = (): string | undefined => (isReady() ? undefined : "the control plane is not ready yet");
  return [
    { path: "/validate", answer: validate, findObstacle: findUnready },
    ...(inject === undefined
      ? []
      : [
          {
            path: "/inject" as const,
            answer: inject.answer,
            findObstacle: () => findUnready() ?? inject.findObstacle(),
          },
        ]),
  ];
}

/** Where probes look, as at istiod. */
const readinessPath = "/httpsReady";

function createServer(secureContext: object, options: WebhookServerOptions) {
  const server = fastify({
    https: {
      ...secureContext,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: handshakeTimeoutMs,
      connectionsCheckingInterval: checkingIntervalMs,
    },
    bodyLimit: longestBody,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: 2_000 },
  });
  server.server.headersTimeout = headersTimeoutMs;
  server.server.maxConnections = mostConnections;
  // Bodies come as they are: their type is judged with the rest, in istiod's words.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.setErrorHandler((error: FastifyError, request, reply) => handleFailure(error, { request, reply, options }));
  server.setNotFoundHandler((_request, reply) => reply.code(404).type("text/plain").send("404 page not found\n"));
  const { isReady } = options;
  server.get(readinessPath, (_request, reply) =>
    reply
      .code(isReady() ? 200 : 503)
      .type("text/plain")
      .send(),
  );
  server.addHook("onResponse", async (request, reply) => countInjection(request, reply, options));
  for (const route of listRoutes(options)) {
    const handling = { route, options };
    for (const url of [route.path, `${route.path}/*`]) {
      server.post(url, { onRequest: (request, reply) => refuseEarly(request, reply, handling) }, (request, reply) =>
        handleReview(request, reply, handling),
      );
      server.route({
        method: ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"],
        url,
        handler: (_request, reply) =>
          sendError(reply.header("allow", "POST"), 405, "only POST is served here", options),
      });
    }
  }
  return server;
}

interface Handling {
  readonly route: Route;
  readonly options: WebhookServerOptions;
}

/** Refuses by the head alone what can be, before a byte of the body is read; undefined lets the request on. */
async function refuseEarly(
  request: FastifyRequest,
  reply: FastifyReply,
  { route, options }: Handling,
): Promise<FastifyReply | undefined> {
  const obstacle = route.findObstacle();
  // Without Retry-After: API servers would try again themselves, and let whoever writes wait until the time is over.
  if (obstacle !== undefined) return sendError(reply, 503, obstacle, options);
  if (!hasBody(request) || isJson(request)) return undefined;
  return sendError(reply, 415, "invalid Content-Type, want `application/json`", options);
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function isJson({ headers }: FastifyRequest): boolean {
  return (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() === "application/json";
}

function handleReview(request: FastifyRequest, reply: FastifyReply, { route, options }: Handling): FastifyReply {
  const { body } = request;
  if (!Buffer.isBuffer(body) || body.length === 0) return sendError(reply, 400, "no body found", options);
  let review: unknown;
  try {
    review = JSON.parse(body.toString("utf8"));
  } catch {
    return sendError(reply, 400, "could not decode body: it is not JSON", options);
  }
  const answered = route.answer(review, readWildcard(request));
  if (answered.httpStatus !== 200) countError(reply, answered.httpStatus, options.metrics);
  if (answered.refusal !== undefined) options.log.info("refused a review", { reason: answered.refusal.slice(0, 500) });
  return reply.code(answered.httpStatus).type("application/json").send(JSON.stringify(answered.review));
}

/** What follows the path of the webhook, decoded by the router. */
function readWildcard({ params }: FastifyRequest): string {
  const below = (params as { readonly "*"?: unknown } | undefined)?.["*"];
  return typeof below === "string" ? below : "";
}

function sendError(reply: FastifyReply, status: number, text: string, { metrics }: WebhookServerOptions): FastifyReply {
  countError(reply, status, metrics);
  return reply.code(status).type("text/plain").send(`${text}\n`);
}

const isInjection = ({ url }: FastifyRequest): boolean => /^\/inject(?:[/?]|$)/.test(url);

function countError({ request }: FastifyReply, status: number, metrics: InjectionMetrics): void {
  if (isInjection(request)) metrics.count("sidecar_injection_failure_total");
  else metrics.count("galley_validation_http_error", { status: String(status) });
}

/** Counts requests about pods and the time that they took, from the head of the request to the end of the answer. */
function countInjection(request: FastifyRequest, reply: FastifyReply, { metrics, inject }: WebhookServerOptions): void {
  if (inject === undefined || !isInjection(request)) return;
  metrics.count("sidecar_injection_requests_total");
  metrics.observe(injectionTime.name, reply.elapsedTime / 1000);
}

interface Failure {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly options: WebhookServerOptions;
}

/** Errors of the frame (too large, cut off) have a status; anything else is a fault of ours, and the next one is served. */
function handleFailure(error: FastifyError, { request, reply, options }: Failure): FastifyReply {
  const status = error.statusCode ?? 500;
  if (status === 413) {
    // The rest is read and thrown away, within the time of a request: closing at once would cut the answer off as well.
    return sendError(reply.removeHeader("connection"), 413, `the body is longer than ${longestBody} bytes`, options);
  }
  if (status < 500) return sendError(reply, status, error.message, options);
  options.log.error("a review could not be answered", { path: request.url.slice(0, 200), error });
  return sendError(reply, 500, "internal error; see the log", options);
}
