import { createServer, type Server } from "node:net";
import { createBody } from "./bodies.ts";

/** Takes pieces of this length, and sends one back for each when it has all of it. */
export function createTcpUpstream(pieceBytes: number): Server {
  const piece = createBody(pieceBytes);
  return createServer({ noDelay: true }, (socket) => {
    let taken = 0;
    socket.on("data", (data: Buffer) => {
      for (taken += data.length; taken >= pieceBytes; taken -= pieceBytes) socket.write(piece);
    });
    socket.on("error", () => socket.destroy());
  });
}
