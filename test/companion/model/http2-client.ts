/** A client of HTTP/2 by Node's own: one session for each port and name, another one when the proxy says goodbye. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import { buildBody, type Exchange } from "./exchange.ts";
import type { History } from "./history.ts";
import { patienceMs } from "./http1-client.ts";
import type { Line, Lines } from "./lines.ts";
import type { ModelRequest } from "./request.ts";

export interface Session {
  readonly session: ClientHttp2Session;
  readonly line: Line;
}

export interface Http2ClientOptions {
  readonly lines: Lines;
  readonly history: History;
  readonly fail: (what: string) => void;
}

export class Http2Client {
  readonly #sessions = new Map<string, Session>();
  readonly #options: Http2ClientOptions;

  constructor(options: Http2ClientOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  send(request: ModelRequest, cancelAfterMs: number): Promise<Exchange> {
    const { history, lines } = this.#options;
    const started = { at: performance.now(), first: history.settled };
    const { session, line } = request.isAlone ? this.open(request) : this.#sessionOf(request);
    const held: { last: number | undefined; headers: IncomingHttpHeaders; error: string } = {
      last: undefined,
      headers: {},
      error: "",
    };
    const chunks: Buffer[] = [];
    return new Promise((resolve) => {
      const finish = (outcome: Exchange["outcome"]): void => {
        clearTimeout(timer);
        if (request.isAlone) {
          line.mayEnd = true;
          session.close();
        }
        const elapsedMs = performance.now() - started.at;
        const last = held.last ?? history.pushed;
        const status = Number(held.headers[":status"] ?? 0);
        const { headers, error } = held;
        resolve({
          outcome,
          status,
          headers,
          body: Buffer.concat(chunks),
          error,
          elapsedMs,
          first: started.first,
          last,
          line,
        });
      };
      const isCancel = request.ask === "cancel";
      const stream = this.start(session, request);
      const timer = setTimeout(
        () => {
          stream.close(constants.NGHTTP2_CANCEL);
          if (isCancel) finish("cancelled");
          else held.error = "no answer in time";
        },
        isCancel ? cancelAfterMs : patienceMs,
      );
      stream.on("error", (cause) => {
        held.error = `${(cause as { readonly code?: string }).code ?? ""} ${cause.message}`;
      });
      stream.once("response", (headers) => {
        held.last = history.pushed;
        held.headers = headers;
        lines.answered(line);
      });
      let isWhole = false;
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.once("end", () => {
        isWhole = true;
      });
      stream.once("close", () => {
        const isAnswered = isWhole && held.last !== undefined && (stream.rstCode === 0 || held.error === "");
        if (isAnswered) finish("answered");
        else finish(held.error.includes("ECONNREFUSED") ? "refused" : "broken");
      });
      stream.end(buildBody(request.id, request.bodySize));
    });
  }

  /** A stream whose body is still to come. */
  start(session: ClientHttp2Session, { method, path, host, headers, id, ask, sni }: ModelRequest): ClientHttp2Stream {
    const pseudo = {
      ":method": method,
      ":path": path,
      ":authority": host,
      ":scheme": sni === undefined ? "http" : "https",
    };
    return session.request({ ...pseudo, ...headers, "x-id": String(id), "x-ask": ask }, { endStream: false });
  }

  /** A session of its own. */
  open({ slot, sni }: Pick<ModelRequest, "slot" | "sni">): Session {
    const { lines, fail } = this.#options;
    const socket = lines.open(slot, sni, "http2");
    const line = lines.of(socket);
    const session = connect("http://127.0.0.1", { createConnection: () => socket });
    session.on("error", () => undefined);
    session.on("goaway", (code) => {
      if (line.mayEnd) return;
      if (!lines.isDraining(line)) fail(`the proxy said goodbye (${code}) on ${slot} though its chain is unchanged`);
      line.mayEnd = true;
    });
    return { session, line };
  }

  close(): void {
    for (const { session, line } of this.#sessions.values()) {
      line.mayEnd = true;
      session.destroy();
    }
  }

  #sessionOf(request: ModelRequest): Session {
    const key = `${request.slot} ${request.sni}`;
    const known = this.#sessions.get(key);
    if (known !== undefined && !known.session.closed && !known.session.destroyed) return known;
    const opened = this.open(request);
    this.#sessions.set(key, opened);
    opened.session.once("close", () => {
      if (this.#sessions.get(key) === opened) this.#sessions.delete(key);
    });
    return opened;
  }
}
