/** A client that says what it is told to, byte for byte. */
import { connect } from "node:net";

/** Sends bytes (each character is one) and gives all that comes until the connection ends, however it ends. */
export function askBytes(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () =>
      socket.write(Buffer.from(bytes, "latin1")),
    );
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A reset after an answer is an end like another: which of them it is depends on what was read when.
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
}

const sentinel = "GET /end HTTP/1.1\r\nHost: end\r\nConnection: close\r\n\r\n";

/** The statuses of all answers to bytes with one good request behind them, which asks for the connection's end. */
export async function askStatuses(port: number, bytes: string): Promise<readonly number[]> {
  const text = await askBytes(port, bytes + sentinel);
  return [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, status]) => Number(status));
}
