/** A client of HTTP/1.1 by Node's own. */
import { Agent, type ClientRequest, type IncomingMessage, request as startRequest } from "node:http";
import type { Socket } from "node:net";
import { buildBody, type Exchange } from "./exchange.ts";
import type { History } from "./history.ts";
import type { Line, Lines } from "./lines.ts";
import type { ModelRequest } from "./request.ts";

/** Nobody waits longer: an answer that has not come by then is lost. */
export const patienceMs = 40_000;

export class Http1Client {
  readonly #agents = new Map<string, Agent>();
  readonly #lines: Lines;
  readonly #history: History;

  constructor(lines: Lines, history: History) {
    this.#lines = lines;
    this.#history = history;
  }

  /** Sends it over a connection that is kept, or over one of its own. Never rejects. */
  send(request: ModelRequest, cancelAfterMs: number): Promise<Exchange> {
    const started = { at: performance.now(), first: this.#history.settled };
    const body = buildBody(request.id, request.bodySize);
    const call = this.start(request, request.isAlone ? this.#buildAgent(request, false) : this.#agentOf(request));
    const held: { line: Line | undefined; last: number | undefined } = { line: undefined, last: undefined };
    call.once("socket", (socket: Socket) => {
      held.line = this.#lines.of(socket);
      held.line.isBusy = true;
      if (body.length > 0 || request.isAlone || request.ask === "cancel") held.line.mayEnd = true;
    });
    return new Promise((resolve) => {
      const finish = (part: Partial<Exchange> & Pick<Exchange, "outcome">): void => {
        clearTimeout(timer);
        if (held.line !== undefined) held.line.isBusy = part.outcome !== "answered";
        const elapsedMs = performance.now() - started.at;
        const line = held.line ?? {
          slot: request.slot,
          sni: request.sni,
          first: started.first,
          taken: undefined,
          mayEnd: true,
          isBusy: true,
        };
        const last = held.last ?? this.#history.pushed;
        resolve({
          status: 0,
          headers: {},
          body: Buffer.alloc(0),
          error: "",
          elapsedMs,
          first: started.first,
          last,
          line,
          ...part,
        });
      };
      const isCancel = request.ask === "cancel";
      const timer = setTimeout(
        () => {
          call.destroy(new Error(isCancel ? "cancelled" : "no answer in time"));
          if (isCancel) finish({ outcome: "cancelled" });
        },
        isCancel ? cancelAfterMs : patienceMs,
      );
      call.once("error", (cause: Error & { readonly code?: string }) => {
        finish({
          outcome: cause.code === "ECONNREFUSED" ? "refused" : "broken",
          error: `${cause.code ?? ""} ${cause.message}`,
        });
      });
      call.once("response", (response: IncomingMessage) => {
        held.last = this.#history.pushed;
        if (held.line !== undefined) this.#noteAnswer(held.line, response);
        readAll(response).then(
          (bytes) =>
            finish({ outcome: "answered", status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
          (cause: unknown) =>
            finish({ outcome: "broken", error: `in the body: ${String(cause)}`, status: response.statusCode ?? 0 }),
        );
      });
      call.end(body);
    });
  }

  /** A request whose body is still to come, for those that stream. */
  start({ method, path, host, headers, id, ask }: ModelRequest, agent: Agent): ClientRequest {
    return startRequest({ agent, method, path, headers: { ...headers, host, "x-id": String(id), "x-ask": ask } });
  }

  agentFor(request: ModelRequest): Agent {
    return this.#buildAgent(request, false);
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #noteAnswer(line: Line, { headers }: IncomingMessage): void {
    this.#lines.answered(line);
    // It ends as it said.
    if (headers.connection === "close" && this.#lines.isDraining(line)) line.mayEnd = true;
  }

  #agentOf(request: ModelRequest): Agent {
    const key = `${request.slot} ${request.sni}`;
    const agent = this.#agents.get(key) ?? this.#buildAgent(request, true);
    this.#agents.set(key, agent);
    return agent;
  }

  #buildAgent({ slot, sni }: ModelRequest, isKept: boolean): Agent {
    const agent = new Agent({ keepAlive: isKept, maxSockets: 8 });
    agent.createConnection = () => this.#lines.open(slot, sni, "http1");
    return agent;
  }
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
