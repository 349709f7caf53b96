/** Which transport socket a host is spoken to through: by its metadata, or the cluster's own. */
import { isDeepStrictEqual } from "node:util";
import { structToJson } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { compileAll, within } from "../../lib/config-error.ts";
import type { UpstreamTlsEnv } from "../../tls/upstream.ts";
import type { Host } from "../types.ts";
import { compileTransportSocket, type TransportSocket } from "./transport-socket.ts";

export interface TransportChoice {
  readonly ready: Promise<void>;
  choose(host: Host): TransportSocket;
  close(): void;
}

const metadataKey = "envoy.transport_socket_match";

/** Compiles transport_socket_matches, the first that fits counts, and transport_socket for all others. Throws ConfigError. */
export function compileTransportChoice(cluster: Cluster, env: UpstreamTlsEnv): TransportChoice {
  const made: TransportSocket[] = [];
  try {
    const matches = compileAll("transport_socket_matches", cluster.transport_socket_matches, (match) => {
      const socket = within("transport_socket", () => compileTransportSocket(match.transport_socket, env));
      made.push(socket);
      return { wanted: Object.entries(structToJson(match.match ?? {})), socket };
    });
    const fallback = within("transport_socket", () => compileTransportSocket(cluster.transport_socket, env));
    made.push(fallback);
    return {
      ready: Promise.all(made.map(({ ready }) => ready)).then(() => undefined),
      choose(host) {
        const labels = asRecord(host.metadata[metadataKey]);
        const isFitting = ([key, value]: [string, unknown]) => isDeepStrictEqual(labels[key], value);
        return matches.find(({ wanted }) => wanted.every(isFitting))?.socket ?? fallback;
      },
      close: () => closeAll(made),
    };
  } catch (cause: unknown) {
    closeAll(made);
    throw cause;
  }
}

function closeAll(sockets: readonly TransportSocket[]): void {
  for (const socket of sockets) socket.close();
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
