import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { ConfigError } from "../lib/config-error.ts";
import { type Address, formatAddress } from "./connection.ts";
import type { ListenAddress, ListenerPlan } from "./listener-plan.ts";

/**
 * A socket that listens. It outlives the listeners that use it one after the other: whoever is `owner` gets what is
 * accepted, so that no connection is refused while one takes over from another.
 */
export class ListenSocket {
  /** Where it listens: with the port that the system chose for port 0. */
  readonly address: Address;
  owner: (socket: Socket) => void;
  readonly #server: Server;

  private constructor(server: Server, address: Address, owner: (socket: Socket) => void) {
    this.#server = server;
    this.address = address;
    this.owner = owner;
    server.on("connection", (socket) => this.owner(socket));
  }

  /** Binds and listens. Rejects with ConfigError where that cannot be done. */
  static async open(wanted: ListenAddress, plan: ListenerPlan, owner: (socket: Socket) => void): Promise<ListenSocket> {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: plan.keepAliveMs !== undefined,
      keepAliveInitialDelay: plan.keepAliveMs ?? 0,
    });
    try {
      await listen(server, wanted, plan);
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError("address", `cannot bind '${formatAddress(wanted.address)}': ${reason}`);
    }
    const bound = server.address();
    const port = bound !== null && typeof bound === "object" ? bound.port : 0;
    return new ListenSocket(server, { ip: wanted.address.ip, port }, owner);
  }

  close(): void {
    this.#server.close();
  }
}

/** Elsewhere SO_REUSEPORT is missing, or means something else. */
const canShare = process.platform === "linux";

function listen(
  server: Server,
  { address, isIpv6Only, mode }: ListenAddress,
  { backlog, reusesPort }: Pick<ListenerPlan, "backlog" | "reusesPort">,
): Promise<void> {
  const isPipe = address.port === 0 && /^[/@.]/.test(address.ip);
  if (isPipe) removeStaleSocket(address.ip);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const onListening = (): void => {
      server.off("error", reject);
      server.on("error", () => undefined);
      if (isPipe && mode !== 0) chmodSync(address.ip, mode);
      resolve();
    };
    const more = backlog === undefined ? {} : { backlog };
    // "@name" is Linux' abstract name space, which begins with a zero byte.
    if (isPipe) server.listen({ path: address.ip.replace(/^@/, "\u0000"), ...more }, onListening);
    else {
      const options = { host: address.ip, port: address.port, ipv6Only: isIpv6Only, reusePort: reusesPort && canShare };
      server.listen({ ...options, ...more }, onListening);
    }
  });
}

/** What a process that was killed left behind would keep the name taken. Never anything but a socket. */
function removeStaleSocket(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isSocket() === true) unlinkSync(path);
}
