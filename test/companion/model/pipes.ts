/** Streams of bytes in both directions that live through several changes, each sent back by an upstream as it comes. */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex, Readable, Writable } from "node:stream";
import type { Exchange } from "./exchange.ts";
import type { History } from "./history.ts";
import { type Http1Client, patienceMs } from "./http1-client.ts";
import type { Http2Client } from "./http2-client.ts";
import type { Line, Lines } from "./lines.ts";
import type { ModelRequest } from "./request.ts";

export interface Pipe {
  readonly line: Line;
  /** What begins the answer: of TCP the upstream's name, of HTTP an exchange that is judged as any other. */
  readonly begun: Promise<Begun>;
  /** Number of the world at its start. */
  readonly first: number;
  /** Sends bytes, and waits until they are back. Rejects where they do not come. */
  step(bytes: Buffer): Promise<void>;
  /** Ends it in order, and waits for the other side's end. Rejects where that does not come. */
  finish(): Promise<void>;
  destroy(): void;
}

export type Begun =
  | { readonly kind: "tcp"; readonly upstream: string | undefined }
  | { readonly kind: "http"; readonly exchange: Exchange; readonly isOpen: boolean };

export interface PipeOptions {
  readonly lines: Lines;
  readonly history: History;
  readonly http1: Http1Client;
  readonly http2: Http2Client;
}

export function openTcpPipe({ lines }: PipeOptions, slot: string): Pipe {
  const socket = lines.open(slot, undefined, "tcp");
  const line = lines.of(socket);
  line.mayEnd = true;
  const echo = new Echo({ writable: socket, endsByHalf: true });
  const begun = new Promise<Begun>((resolve) => {
    let greeting = "";
    const read = (chunk: Buffer): void => {
      greeting += chunk.toString();
      if (!greeting.endsWith("\n")) return;
      socket.off("data", read);
      lines.answered(line);
      echo.read(socket);
      resolve({ kind: "tcp", upstream: greeting.slice(0, -1) });
    };
    socket.on("data", read);
    socket.on("error", () => undefined);
    // The other half stays open until we end it, too.
    socket.on("end", () => {
      if (greeting === "") socket.destroy();
    });
    socket.on("close", () => resolve({ kind: "tcp", upstream: undefined }));
  });
  return { line, begun, first: line.first, ...echo.toPipe() };
}

export function openHttpPipe(options: PipeOptions, request: ModelRequest): Pipe {
  return request.protocol === "http2" ? openHttp2(options, request) : openHttp1(options, request);
}

function openHttp1(options: PipeOptions, request: ModelRequest): Pipe {
  const { http1, lines } = options;
  const isUpgrade = request.ask === "upgrade";
  const headers = isUpgrade
    ? { ...request.headers, connection: "Upgrade", upgrade: "websocket" }
    : { ...request.headers, "transfer-encoding": "chunked" };
  const call = http1.start({ ...request, headers }, http1.agentFor(request));
  const first = options.history.settled;
  const held: { line: Line } = {
    line: { slot: request.slot, sni: request.sni, first, taken: undefined, mayEnd: true, isBusy: true },
  };
  call.once("socket", (socket: Socket) => {
    held.line = lines.of(socket);
    held.line.mayEnd = true;
  });
  const echo = new Echo({ writable: call, endsByHalf: !isUpgrade });
  if (isUpgrade) call.end();
  else call.flushHeaders();
  const begun = hearHttp1({ call, request, options, echo }, () => held.line);
  return {
    get line() {
      return held.line;
    },
    ...{ begun, first },
    ...echo.toPipe(),
  };
}

interface Http1Start {
  readonly call: ClientRequest;
  readonly request: ModelRequest;
  readonly options: PipeOptions;
  readonly echo: Echo;
}

function hearHttp1({ call, request, options, echo }: Http1Start, lineOf: () => Line): Promise<Begun> {
  const { history, lines } = options;
  const start = { at: performance.now(), first: history.settled };
  return new Promise((resolve) => {
    const finish = (part: Pick<Exchange, "outcome"> & Partial<Exchange>, isOpen: boolean): void => {
      resolve({ kind: "http", isOpen, exchange: { ...describeExchange(start, lineOf(), history.pushed), ...part } });
    };
    call.once("error", (cause: Error & { readonly code?: string }) => {
      finish({ outcome: cause.code === "ECONNREFUSED" ? "refused" : "broken", error: cause.message }, false);
    });
    call.once("upgrade", (response: IncomingMessage, socket: Duplex, head: Buffer) => {
      lines.answered(lineOf());
      if (head.length > 0) socket.unshift(head);
      echo.read(socket, socket);
      finish({ outcome: "answered", status: 101, headers: response.headers }, true);
    });
    call.once("response", (response: IncomingMessage) => {
      lines.answered(lineOf());
      const { headers, statusCode: status = 0 } = response;
      const last = history.pushed;
      if (status === 200 && headers["x-seen"] !== undefined && request.ask === "echo") {
        echo.read(response);
        finish({ outcome: "answered", status, headers, last }, true);
        return;
      }
      response.on("error", () => undefined);
      void response.toArray().then(
        (chunks: Buffer[]) =>
          finish({ outcome: "answered", status, headers, last, body: Buffer.concat(chunks) }, false),
        (cause: unknown) => finish({ outcome: "broken", error: String(cause) }, false),
      );
    });
  });
}

function openHttp2(options: PipeOptions, request: ModelRequest): Pipe {
  const { http2, history, lines } = options;
  const start = { at: performance.now(), first: history.settled };
  const { session, line } = http2.open(request);
  line.mayEnd = true;
  const stream = http2.start(session, request);
  const echo = new Echo({ writable: stream, endsByHalf: true });
  stream.once("close", () => session.close());
  const begun = new Promise<Begun>((resolve) => {
    const finish = (part: Pick<Exchange, "outcome"> & Partial<Exchange>, isOpen: boolean): void =>
      resolve({ kind: "http", isOpen, exchange: { ...describeExchange(start, line, history.pushed), ...part } });
    stream.on("error", (cause) =>
      finish({ outcome: String(cause).includes("ECONNREFUSED") ? "refused" : "broken", error: String(cause) }, false),
    );
    stream.once("response", (headers: IncomingHttpHeaders & { readonly ":status"?: unknown }) => {
      lines.answered(line);
      const [status, last] = [Number(headers[":status"]), history.pushed];
      if (status === 200 && headers["x-seen"] !== undefined) {
        echo.read(stream);
        finish({ outcome: "answered", status, headers, last }, true);
        return;
      }
      void stream.toArray().then(
        (chunks: Buffer[]) => {
          finish({ outcome: "answered", status, headers, last, body: Buffer.concat(chunks) }, false);
          stream.destroy();
        },
        (cause: unknown) => finish({ outcome: "broken", error: String(cause) }, false),
      );
    });
  });
  return { line, begun, first: start.first, ...echo.toPipe() };
}

function describeExchange(start: { readonly at: number; readonly first: number }, line: Line, last: number): Exchange {
  const elapsedMs = performance.now() - start.at;
  const nothing = { status: 0, headers: {}, body: Buffer.alloc(0), error: "" };
  return { ...nothing, outcome: "broken", elapsedMs, first: start.first, last, line };
}

/** Compares what comes back with what was sent. */
class Echo {
  #writable: Writable;
  readonly #endsByHalf: boolean;
  #sent = 0;
  #received = 0;
  #expected: Buffer[] = [];
  #isOver = false;
  #fault: string | undefined;
  #wake: () => void = () => undefined;

  constructor({ writable, endsByHalf }: { readonly writable: Writable; readonly endsByHalf: boolean }) {
    this.#writable = writable;
    this.#endsByHalf = endsByHalf;
    writable.on("error", () => this.#end());
  }

  read(readable: Readable, writable?: Writable): void {
    if (writable !== undefined) this.#writable = writable;
    readable.on("data", (chunk: Buffer) => this.#compare(chunk));
    readable.on("error", () => this.#end());
    readable.on("end", () => this.#end());
    readable.on("close", () => this.#end());
  }

  toPipe(): Pick<Pipe, "step" | "finish" | "destroy"> {
    return {
      step: async (bytes) => {
        this.#sent += bytes.length;
        this.#expected.push(bytes);
        this.#writable.write(bytes);
        await this.#until(() => this.#received >= this.#sent, "bytes did not come back");
      },
      finish: async () => {
        if (!this.#endsByHalf) {
          this.#writable.destroy();
          return;
        }
        this.#writable.end();
        await this.#until(() => this.#isOver, "the other side did not end");
        if (this.#received !== this.#sent) throw new Error(`${this.#received} of ${this.#sent} bytes came back`);
      },
      destroy: () => this.#writable.destroy(),
    };
  }

  #compare(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const [next, ...others] = this.#expected;
      if (next === undefined) {
        this.#fault = "more came back than was sent";
        break;
      }
      const length = Math.min(next.length, rest.length);
      if (!rest.subarray(0, length).equals(next.subarray(0, length)))
        this.#fault = "other bytes came back than were sent";
      this.#expected = length === next.length ? others : [next.subarray(length), ...others];
      rest = rest.subarray(length);
      this.#received += length;
    }
    this.#wake();
  }

  #end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const limit = performance.now() + patienceMs;
    while (this.#fault === undefined && !isSo()) {
      if (this.#isOver) throw new Error(`ended early: ${this.#received} of ${this.#sent} bytes came back`);
      const left = limit - performance.now();
      if (left <= 0) throw new Error(what);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#fault !== undefined) throw new Error(this.#fault);
  }
}
