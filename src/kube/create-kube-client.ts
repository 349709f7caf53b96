import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { decompress, readError, readText } from "./answer.ts";
import { CredentialStore, type Credentials, type TlsSettings } from "./credentials.ts";
import {
  KubeApiError,
  type KubeClient,
  KubeConnectionError,
  type KubeRequest,
  type KubeStream,
} from "./kube-client.ts";
import { RateLimiter } from "./rate-limiter.ts";

export interface KubeClientOptions {
  /** Path of a kubeconfig; where not given, the files of the pod count, then $KUBECONFIG and ~/.kube/config. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig; its current one where not given. */
  readonly context?: string;
  /** Requests a second, watches not counted; 80 where not given. */
  readonly qps?: number;
  /** Requests at once after a quiet time; 160 where not given. */
  readonly burst?: number;
  /** Most bytes of one answer, unpacked; 512 MiB where not given. */
  readonly maxAnswerBytes?: number;
  /** How the API server's audit log names us; "meltemi" where not given. */
  readonly userAgent?: string;
  readonly clock: Clock;
  readonly log: Log;
}

const defaultTimeoutMs = 30_000;
const defaultMaxAnswerBytes = 512 * 1024 * 1024;
/** The kernel asks a silent peer after this time, then each second, and gives up after ten: dead in 25 s (libuv's steps). */
const keepAliveDelayMs = 15_000;

/** Connects to an API server. Rejects where there is no usable kubeconfig; an unreachable server shows at requests only. */
export async function createKubeClient(options: KubeClientOptions): Promise<KubeClient> {
  const credentials = await CredentialStore.open({
    ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
    ...(options.context === undefined ? {} : { context: options.context }),
    clock: options.clock,
    log: options.log.child({ component: "kube" }),
  });
  return new HttpKubeClient(options, credentials);
}

/** An answer whose head is there, and the means to give it up. */
interface Answer {
  readonly message: IncomingMessage;
  readonly deadline: Timer;
  readonly cut: (reason: string) => void;
  /** Why we cut it ourselves; undefined where we did not. */
  readonly cutReason: () => string | undefined;
}

class HttpKubeClient implements KubeClient {
  readonly #options: KubeClientOptions;
  readonly #credentials: CredentialStore;
  readonly #limiter: RateLimiter;
  readonly #agents = new Map<TlsSettings, HttpAgent>();
  readonly #open = new Set<(reason: string) => void>();
  #closed = false;

  constructor(options: KubeClientOptions, credentials: CredentialStore) {
    this.#options = options;
    this.#credentials = credentials;
    const { clock, qps = 80, burst = 160 } = options;
    this.#limiter = new RateLimiter({ clock, perSecond: qps, burst });
  }

  get server(): string {
    return this.#credentials.current.server.origin;
  }

  async request(request: KubeRequest): Promise<unknown> {
    const answer = await this.#ask(request);
    const asked = describeRequest(request);
    try {
      const text = await readText(answer.message, this.#options.maxAnswerBytes ?? defaultMaxAnswerBytes);
      return text === "" ? undefined : (JSON.parse(text) as unknown);
    } catch (cause: unknown) {
      throw asConnectionError(asked, answer.cutReason() ?? cause);
    } finally {
      answer.deadline.close();
    }
  }

  async stream(request: KubeRequest): Promise<KubeStream> {
    const answer = await this.#ask(request);
    answer.deadline.close();
    return {
      chunks: readChunks(answer, describeRequest(request)),
      close: () => answer.cut("closed"),
    };
  }

  close(): void {
    this.#closed = true;
    for (const cut of [...this.#open]) cut("the client was closed");
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  /** Asks, once more with credentials read anew after a 401, and gives the answer where it is no refusal. */
  async #ask(request: KubeRequest): Promise<Answer> {
    if (!isWatch(request)) await this.#limiter.take();
    const credentials = await this.#credentials.find();
    try {
      return await this.#askOnce(request, credentials);
    } catch (cause: unknown) {
      const isRefused = cause instanceof KubeApiError && cause.status === 401;
      if (!isRefused || !(await this.#credentials.renew(credentials))) throw cause;
      return this.#askOnce(request, this.#credentials.current);
    }
  }

  async #askOnce(request: KubeRequest, credentials: Credentials): Promise<Answer> {
    try {
      return await this.#send(request, credentials);
    } catch (cause: unknown) {
      // The server closes a connection that rests at the same moment as we use it again: nothing was read of the request.
      const isStale = cause instanceof StaleConnection;
      if (!isStale) throw cause;
      if ((request.method ?? "GET") !== "GET") throw cause.reason;
      return this.#send(request, credentials);
    }
  }

  async #send(request: KubeRequest, credentials: Credentials): Promise<Answer> {
    const asked = describeRequest(request);
    if (this.#closed) throw new KubeConnectionError(`${asked}: the client was closed`);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const url = new URL(credentials.server.href);
    url.pathname = `${url.pathname.replace(/\/$/, "")}${request.path}`;
    url.search = new URLSearchParams(request.query).toString();
    const options: RequestOptions = {
      method: request.method ?? "GET",
      agent: this.#findAgent(credentials, isWatch(request)),
      headers: {
        ...credentials.headers,
        accept: request.accept ?? "application/json",
        "user-agent": this.#options.userAgent ?? "meltemi",
        // A watch is compressed by no API server, and must not wait for a block to be full where a proxy does it.
        ...(isWatch(request) ? {} : { "accept-encoding": "gzip" }),
        ...(body === undefined
          ? {}
          : { "content-type": request.contentType ?? "application/json", "content-length": Buffer.byteLength(body) }),
      },
    };
    const answer = await this.#exchange({ asked, url, options, body, request });
    const { message } = answer;
    if (message.statusCode !== undefined && message.statusCode >= 200 && message.statusCode < 300) return answer;
    const error = await readError(message, asked);
    answer.deadline.close();
    answer.cut("refused");
    throw error;
  }

  /** Resolves with the answer's head. */
  #exchange(exchange: Exchange): Promise<Answer> {
    const { asked, url, options, body, request } = exchange;
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    return new Promise((resolve, reject) => {
      let cutReason: string | undefined;
      const sent = url.protocol === "http:" ? httpRequest(url, options) : httpsRequest(url, options);
      const cut = (reason: string): void => {
        cutReason ??= reason;
        sent.destroy();
      };
      const deadline = this.#options.clock.after(timeoutMs, () => cut(`no answer within ${timeoutMs} ms`));
      const onAbort = (): void => cut("cancelled");
      request.signal?.addEventListener("abort", onAbort, { once: true });
      this.#open.add(cut);
      sent.on("socket", (socket) => socket.setKeepAlive(true, keepAliveDelayMs));
      sent.on("error", (cause: NodeJS.ErrnoException) => {
        const error = asConnectionError(asked, cutReason ?? cause);
        const isStale = sent.reusedSocket && cause.code === "ECONNRESET" && cutReason === undefined;
        reject(isStale ? new StaleConnection(error) : error);
      });
      sent.on("close", () => {
        deadline.close();
        request.signal?.removeEventListener("abort", onAbort);
        this.#open.delete(cut);
        // After an answer or an error this says nothing new.
        reject(asConnectionError(asked, cutReason ?? "the connection was closed"));
      });
      sent.on("response", (message) => resolve({ message, deadline, cut, cutReason: () => cutReason }));
      if (request.signal?.aborted === true) cut("cancelled");
      sent.end(body);
    });
  }

  /** Requests share connections that are kept; a watch has its own, so that one that hangs harms no other. */
  #findAgent(credentials: Credentials, isOwn: boolean): RequestOptions["agent"] {
    if (credentials.proxy !== undefined) return credentials.proxy;
    const isPlain = credentials.server.protocol === "http:";
    if (isOwn) return isPlain ? new HttpAgent() : new HttpsAgent(credentials.tls);
    let agent = this.#agents.get(credentials.tls);
    if (agent === undefined) {
      agent = isPlain ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ ...credentials.tls, keepAlive: true });
      this.#agents.set(credentials.tls, agent);
    }
    return agent;
  }
}

interface Exchange {
  readonly asked: string;
  readonly url: URL;
  readonly options: RequestOptions;
  readonly body: string | undefined;
  readonly request: KubeRequest;
}

/** A kept connection turned out to be closed. */
class StaleConnection extends Error {
  readonly reason: KubeConnectionError;

  constructor(reason: KubeConnectionError) {
    super(reason.message);
    this.reason = reason;
  }
}

const isWatch = ({ query }: KubeRequest): boolean => query?.["watch"] === "true";

function describeRequest({ method = "GET", path }: KubeRequest): string {
  return `${method} ${path}`;
}

/** What broke: a text of ours, or an error of the platform, whose message names addresses and never headers. */
function asConnectionError(asked: string, cause: unknown): KubeConnectionError {
  if (cause instanceof KubeConnectionError && cause.message.startsWith(asked)) return cause;
  if (typeof cause === "string") return new KubeConnectionError(`${asked}: ${cause}`);
  const text = cause instanceof Error ? describeCause(cause) : "the connection broke";
  return new KubeConnectionError(`${asked}: ${text}`, { cause });
}

/** Node tries all addresses of a host and gathers the errors under an empty message. */
function describeCause(cause: Error): string {
  if (cause instanceof AggregateError && cause.message === "") {
    return cause.errors.map((each) => (each instanceof Error ? each.message : String(each))).join(", ");
  }
  return cause.message;
}

async function* readChunks(answer: Answer, asked: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of decompress(answer.message)) yield chunk as Uint8Array;
  } catch (cause: unknown) {
    if (answer.cutReason() === "closed") return;
    throw asConnectionError(asked, answer.cutReason() ?? cause);
  } finally {
    answer.cut("closed");
  }
}
