/** Which listener takes a connection: interception by original destination, or an address that is really bound. */

import { isIP } from "node:net";
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { HostPort, PlannedCall } from "./call.ts";
import type { Note } from "./trace.ts";

/** Where iptables hands over what arrives, unless the mesh says otherwise. */
const inboundPort = 15006;

/** True where a listener hands connections over by their original destination. */
export function interceptsOutbound(listeners: readonly Listener[]): boolean {
  return listeners.some(handsOver);
}

/** The listener whose filter chains decide about the call; undefined where the connection is refused. */
export function findListener(listeners: readonly Listener[], call: PlannedCall, note: Note): Listener | undefined {
  const first = findFirst(listeners, call);
  if (first === undefined) {
    note(`listener: none for ${call.direction} to ${call.to.host} port ${call.to.port}`);
    return undefined;
  }
  note(`listener: ${first.name}`);
  if (!handsOver(first)) return first;
  // ConnectionHandlerImpl: the exact address first, then the port on all addresses, then the first one keeps it.
  const next = findByAddress(listeners, call.to) ?? first;
  note(next === first ? "no listener has the original destination" : `handed over to listener: ${next.name}`);
  return next;
}

function findFirst(listeners: readonly Listener[], call: PlannedCall): Listener | undefined {
  switch (call.direction) {
    case "outbound":
      return listeners.find(handsOver);
    case "inbound":
      return listeners.find((listener) => listener.traffic_direction === "INBOUND" && hasPort(listener, inboundPort));
    case "direct":
      return findByAddress(listeners.filter(isBound), call.to);
  }
}

function findByAddress(listeners: readonly Listener[], { host, port }: HostPort): Listener | undefined {
  const tcp = listeners.filter((listener) => listener.udp_listener_config === undefined);
  const wildcards = isIP(host) === 6 ? ["::"] : ["0.0.0.0", "::"];
  const find = (hosts: readonly string[]): Listener | undefined =>
    tcp.find((listener) => listAddresses(listener).some((own) => own.port === port && hosts.includes(own.host)));
  return find([host]) ?? find(wildcards);
}

function listAddresses(listener: Listener): readonly HostPort[] {
  const more = (listener.additional_addresses ?? []).map(({ address }) => address);
  return [listener.address, ...more].flatMap((address) => readAddress(address) ?? []);
}

/** Host and port of a socket address; undefined for pipes and internal addresses. */
export function readAddress(address: Address | undefined): HostPort | undefined {
  const socket = address?.socket_address;
  return socket === undefined ? undefined : { host: socket.address ?? "", port: socket.port_value ?? 0 };
}

const handsOver = (listener: Listener): boolean => listener.use_original_dst?.value === true;
const isBound = ({ bind_to_port: bind }: Listener): boolean => bind === undefined || bind.value === true;
const hasPort = (listener: Listener, port: number): boolean => listAddresses(listener).some((own) => own.port === port);
