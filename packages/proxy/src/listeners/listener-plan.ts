/** What a listener says besides its filter chains, read and checked. */
import { durationToMs } from "@meltemi/protos";
import type { Address as WireAddress } from "@meltemi/protos/envoy/config/core/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { type Address, formatAddress } from "./connection.ts";

export interface ListenAddress {
  readonly address: Address;
  readonly isIpv6Only: boolean;
  /** File mode of a Unix socket; 0 for none. */
  readonly mode: number;
}

export interface ListenerPlan {
  readonly name: string;
  readonly addresses: readonly [ListenAddress, ...ListenAddress[]];
  readonly isBound: boolean;
  readonly backlog: number | undefined;
  /** Time until the first probe, in milliseconds; undefined where probes are off. */
  readonly keepAliveMs: number | undefined;
  readonly handsOffByOriginalDst: boolean;
  /** 0 for none. */
  readonly filtersTimeoutMs: number;
  readonly continuesAfterTimeout: boolean;
  readonly direction: "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
  /** Name in "listener.NAME." */
  readonly statName: string;
  readonly drainsOnlyWhenModified: boolean;
  /** Other processes may listen on the same address, too, as Envoys do by default. */
  readonly reusesPort: boolean;
  /** Its connections count for no limit over all listeners. */
  readonly ignoresGlobalLimit: boolean;
}

const defaultFiltersTimeoutMs = 15_000;

/** What cannot be done here and would change what clients see. */
const refusals: readonly (readonly [field: keyof Listener, reason: string])[] = [
  ["udp_listener_config", "UDP and QUIC listeners are not supported"],
  ["internal_listener", "internal listeners are not supported"],
  ["api_listener", "API listeners are not supported"],
  ["filter_chain_matcher", "matchers of filter chains are not supported: use filter_chain_match"],
];

/**
 * Reads a listener. Not used, as they change no answer: limits of buffers (the platform's are below all that is usual),
 * connection_balance_config (there is one thread), max_connections_to_accept_per_socket_event,
 * tcp_fast_open_queue_length, enable_mptcp, freebind, metadata, bypass_overload_manager. Throws ConfigError.
 */
export function compileListenerPlan(wire: Listener): ListenerPlan {
  for (const [field, reason] of refusals) if (wire[field] !== undefined) throw new ConfigError(field, reason);
  if (wire.transparent?.value === true) {
    throw new ConfigError("transparent", "the platform cannot listen transparently (IP_TRANSPARENT)");
  }
  const first = within("address", () => compileListenAddress(need("", wire.address)));
  const others = compileAll("additional_addresses", wire.additional_addresses, (each) =>
    within("address", () => compileListenAddress(need("", each.address))),
  );
  const text = formatAddress(first.address);
  return {
    name: wire.name || text,
    addresses: [first, ...others],
    isBound: wrappedBool(wire.bind_to_port ?? wire.deprecated_v1?.bind_to_port, true),
    backlog: wire.tcp_backlog_size?.value,
    keepAliveMs: keepAliveOf(wire),
    handsOffByOriginalDst: wire.use_original_dst?.value === true,
    filtersTimeoutMs: durationToMs(wire.listener_filters_timeout) ?? defaultFiltersTimeoutMs,
    continuesAfterTimeout: wire.continue_on_listener_filters_timeout === true,
    direction: wire.traffic_direction ?? "UNSPECIFIED",
    statName: wire.stat_prefix || text.replaceAll(":", "_"),
    drainsOnlyWhenModified: wire.drain_type === "MODIFY_ONLY",
    reusesPort: wrappedBool(wire.enable_reuse_port, true),
    ignoresGlobalLimit: wire.ignore_global_conn_limit === true,
  };
}

function compileListenAddress(wire: WireAddress): ListenAddress {
  if (wire.pipe !== undefined) {
    const path = need("pipe.path", wire.pipe.path);
    return { address: { ip: path, port: 0 }, isIpv6Only: false, mode: wire.pipe.mode ?? 0 };
  }
  if (wire.envoy_internal_address !== undefined) {
    throw new ConfigError("envoy_internal_address", "internal listeners are not supported");
  }
  const address = need("socket_address", wire.socket_address);
  if (address.protocol === "UDP") {
    throw new ConfigError("socket_address.protocol", "UDP and QUIC listeners are not supported");
  }
  if (address.resolver_name) {
    throw new ConfigError("socket_address.resolver_name", `the resolver ${address.resolver_name} is not supported`);
  }
  if (address.named_port !== undefined) {
    throw new ConfigError("socket_address.named_port", "ports by name are not supported: use port_value");
  }
  const ip = need("socket_address.address", address.address);
  return {
    address: { ip, port: address.port_value ?? 0 },
    isIpv6Only: ip.includes(":") && address.ipv4_compat !== true,
    mode: 0,
  };
}

/** Linux' numbers: the options that Istio writes for keepalive. Others change how bytes travel, and no answer. */
const socketLevel = 1;
const keepAlive = 9;
const tcpLevel = 6;
const keepIdle = 4;
const defaultKeepIdleMs = 7_200_000;

function keepAliveOf({ socket_options: options = [] }: Listener): number | undefined {
  const find = (level: number, name: number) =>
    options.find((option) => Number(option.level ?? 0) === level && Number(option.name ?? 0) === name)?.int_value;
  if (Number(find(socketLevel, keepAlive) ?? 0) === 0) return undefined;
  const idleSeconds = Number(find(tcpLevel, keepIdle) ?? 0);
  return idleSeconds > 0 ? idleSeconds * 1_000 : defaultKeepIdleMs;
}
