/**
 * Servers that tell which port was reached, for tests in a network namespace. Arguments: "tcp:ADDRESS:PORT" and
 * "udp:ADDRESS:PORT", with "+" for ":" inside IPv6 addresses. Prints "ready"; ends with its standard input.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

for (const argument of process.argv.slice(2)) {
  const [protocol = "", host = "", port = ""] = argument.split(":");
  const address = host.replaceAll("+", ":");
  await new Promise<void>((resolve, reject) => {
    if (protocol === "tcp") {
      const server = createServer((socket) => socket.on("error", () => socket.destroy()).end(port));
      server.on("error", reject).listen(Number(port), address, () => resolve());
    } else {
      const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
      socket.on("message", (_, peer) => socket.send(port, peer.port, peer.address));
      socket.on("error", reject).bind(Number(port), address, () => resolve());
    }
  });
}
process.stdout.write("ready\n");
process.stdin.resume().on("end", () => process.exit(0));
