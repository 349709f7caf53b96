import { type Address, formatAddress } from "../listeners/connection.ts";
import type { ActiveListener } from "../listeners/types.ts";
import { type AdminPage, jsonAnswer, okAnswer } from "./admin-page.ts";

export const listenerPages: readonly AdminPage[] = [
  {
    path: "/listeners",
    description: "print listener info",
    parameters: [["format", "one of text, json"]],
    answer({ listeners }, query) {
      if (query.get("format") === "json") return jsonAnswer({ listener_statuses: listeners.list().map(toStatus) });
      const lines = listeners
        .list()
        .map(({ name, addresses }) => `${name}::${addresses.map(formatAddress).join(",")}\n`);
      return { body: lines.join("") };
    },
  },
  {
    path: "/drain_listeners",
    isMutating: true,
    description: "drain listeners",
    parameters: [
      ["graceful", "connections are told first, and listeners close when the drain time is over"],
      ["skip_exit", "connections are told, and listeners never close"],
      ["inboundonly", "only listeners whose traffic_direction is INBOUND"],
    ],
    answer({ listeners }, query) {
      listeners.drain({
        isInboundOnly: query.has("inboundonly"),
        isGraceful: query.has("graceful"),
        keepsListening: query.has("skip_exit"),
      });
      return okAnswer;
    },
  },
];

function toStatus({ name, addresses: [first, ...more] }: ActiveListener): unknown {
  return {
    name,
    ...(first === undefined ? {} : { local_address: toAddress(first) }),
    ...(more.length === 0 ? {} : { additional_local_addresses: more.map(toAddress) }),
  };
}

function toAddress({ ip, port }: Address): unknown {
  return port === 0 && ip.includes("/")
    ? { pipe: { path: ip } }
    : { socket_address: { address: ip, port_value: port } };
}
