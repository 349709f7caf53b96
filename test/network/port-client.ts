/** Calls "tcp:ADDRESS:PORT" and "udp:ADDRESS:PORT" ("+" for ":" in addresses), and prints what answered each, as JSON. */
import { createSocket } from "node:dgram";
import { createConnection } from "node:net";

/** A wrong rule can swallow packets; nothing else takes this long inside one kernel. */
const silenceMs = 10_000;

const answers = await Promise.all(process.argv.slice(2).map((target) => call(target)));
process.stdout.write(JSON.stringify(answers));
process.exit(0);

function call(target: string): Promise<string> {
  const [protocol = "", host = "", port = ""] = target.split(":");
  const address = host.replaceAll("+", ":");
  return new Promise((resolve) => {
    setTimeout(() => resolve("silence"), silenceMs);
    if (protocol === "tcp") {
      let text = "";
      const socket = createConnection({ host: address, port: Number(port) });
      socket.on("data", (data) => {
        text += data.toString();
      });
      socket.on("error", () => resolve("refused")).on("end", () => resolve(text));
    } else {
      const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
      socket.on("error", () => resolve("refused")).on("message", (data) => resolve(data.toString()));
      socket.connect(Number(port), address, () => socket.send("?"));
    }
  });
}
