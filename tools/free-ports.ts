/** Ports for programs that must be told theirs before they listen. */
import { type AddressInfo, createServer, type Server } from "node:net";

/** Ports of the loopback address that were free a moment ago, all different. */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  // All are held until all are known, so that no port comes twice.
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A port of the loopback address that was free a moment ago. */
export async function findFreePort(): Promise<number> {
  const [port = 0] = await findFreePorts(1);
  return port;
}

/** Ports that no other holder of ports has, for as long as they are held. */
export interface HeldPorts {
  readonly ports: readonly number[];
  release(): Promise<void>;
}

/** Outside the range from which systems take ports of outgoing connections. */
const [firstBlock, blockSize, blockCount] = [12_000, 50, 400];

/**
 * `count` (up to 49) ports that are free and that nobody else gets from here, in this process or another one: whoever
 * listens on the first port of a block holds the block. Envoys share a port with one another without a word
 * (SO_REUSEPORT), so that two of different tests on one port would each get some of the other's connections.
 */
export async function holdPorts(count: number): Promise<HeldPorts> {
  const offset = Math.floor(Math.random() * blockCount);
  for (let index = 0; index < blockCount; index++) {
    const first = firstBlock + ((offset + index) % blockCount) * blockSize;
    const holder = await listenOn(first);
    if (holder === undefined) continue;
    const release = (): Promise<void> => new Promise((resolve) => holder.close(() => resolve()));
    const ports: number[] = [];
    for (let port = first + 1; port < first + blockSize && ports.length < count; port++) {
      const probe = await listenOn(port);
      if (probe === undefined) continue;
      await new Promise((resolve) => probe.close(resolve));
      ports.push(port);
    }
    if (ports.length === count) return { ports, release };
    await release();
  }
  throw new Error(`no ${count} ports are free between ${firstBlock} and ${firstBlock + blockSize * blockCount}`);
}

/** A server on a port of the loopback address; undefined where somebody has it. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
