/** A server that says the bytes that it was given for a path, whatever they are. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface Script {
  readonly bytes: string;
  readonly isClosed: boolean;
}

export interface ScriptedUpstream {
  readonly port: number;
  stop(): Promise<void>;
}

const good = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nend";

/** Answers the request for "/N" with the script of that number, and every other request well. */
export async function startScriptedUpstream(scripts: readonly Script[]): Promise<ScriptedUpstream> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const number = Number(/^[A-Z]+ \/(\d+) /.exec(text)?.[1] ?? Number.NaN);
        text = text.slice(end + 4);
        const script = scripts[number] ?? { bytes: good, isClosed: false };
        socket.write(Buffer.from(script.bytes, "latin1"));
        if (script.isClosed) socket.end();
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
