/**
 * Tries whether redirection works: a connection to an address where nothing listens must arrive at the proxy's ports.
 * Run as the proxy's user, before the proxy takes its ports.
 */
import { randomUUID } from "node:crypto";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../../../src/lib/clock.ts";
import { pause } from "../../../../src/lib/pause.ts";

export interface ValidationOptions {
  /** The proxy's outbound and inbound port. */
  readonly ports: readonly number[];
  readonly probePort: number;
  readonly timeoutMs: number;
  readonly ipv6: boolean;
  readonly clock: Clock;
  readonly report: (line: string) => void;
}

const retryMs = 1000;

/**
 * Resolves to true as soon as one connection was redirected, to false where none was in `timeoutMs`. Istio asks the
 * kernel for the original destination; here the connection carries a word that only this call knows.
 */
export async function validateRedirection(options: ValidationOptions): Promise<boolean> {
  const { clock, ports, timeoutMs, report } = options;
  const word = randomUUID();
  const arrived = new AbortController();
  const host = options.ipv6 ? "::1" : "127.0.0.1";
  const servers: Server[] = [];
  for (const port of ports) {
    const server = await listen(host, port, (text) => text === word && arrived.abort());
    if (server === undefined) report(`cannot listen on ${host} port ${port}`);
    else servers.push(server);
  }
  const timer = clock.after(timeoutMs, () => arrived.abort("timeout"));
  try {
    if (servers.length === 0) return false;
    while (!arrived.signal.aborted) {
      const socket = connect({ ...options, host, word });
      await pause(clock, retryMs, arrived.signal);
      socket.destroy();
    }
    return arrived.signal.reason !== "timeout";
  } finally {
    timer.close();
    for (const server of servers) server.close();
  }
}

/** Undefined where the port is taken. */
function listen(host: string, port: number, receive: (text: string) => void): Promise<Server | undefined> {
  const server = createServer((socket) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => {
      text = (text + part).slice(0, 100);
      receive(text);
    });
    socket.on("error", () => socket.destroy());
  });
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen({ host, port }, () => resolve(server));
  });
}

function connect(options: ValidationOptions & { readonly host: string; readonly word: string }): Socket {
  const target = options.ipv6 ? "::6" : "127.0.0.6";
  const socket = createConnection({ host: target, port: options.probePort, localAddress: options.host });
  // Refused where nothing redirects; the next try may find the rules in place.
  socket.on("error", () => socket.destroy());
  socket.write(options.word);
  return socket;
}
