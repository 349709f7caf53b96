/** Load assignments as they are used: every endpoint with its address, place and weight; DNS names are left to resolve. */

import { isIP } from "node:net";
import { durationToMs, structToJson } from "@meltemi/protos";
import type { Address, HealthStatus, Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type {
  ClusterLoadAssignment,
  Endpoint,
  LbEndpoint,
  LocalityLbEndpoints,
} from "@meltemi/protos/envoy/config/endpoint/v3";
import { ConfigError, compileAll, need, within } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import type { Host } from "../types.ts";
import { compileDropOverloads, type DropOverload } from "./drop-overload.ts";

export interface EndpointPlan {
  /** What a host is known by where not by its address: two names may have one address. */
  readonly key?: string;
  /** "1.2.3.4:80", "[::1]:80", "/path"; the name and port where it has to be resolved. */
  readonly address: string;
  readonly ip: string;
  readonly port: number;
  readonly hostname: string;
  readonly locality: Host["locality"];
  readonly priority: number;
  readonly weight: number;
  readonly status: HealthStatus;
  readonly endpoint: LbEndpoint;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Where active checks go in place of the address. */
  readonly checkPort: number;
  readonly checkIp: string | undefined;
  readonly isCheckDisabled: boolean;
}

export interface LocalityPlan {
  readonly locality: Host["locality"];
  readonly priority: number;
  /** 0 where none was given: it gets nothing where localities are weighted. */
  readonly weight: number;
  readonly endpoints: readonly EndpointPlan[];
}

export interface AssignmentPlan {
  readonly localities: readonly LocalityPlan[];
  /** Percent. */
  readonly overprovisioningFactor: number;
  readonly isHealthWeighted: boolean;
  readonly dropOverloads: readonly DropOverload[];
  readonly staleAfterMs: number | undefined;
}

export const emptyAssignment: AssignmentPlan = {
  localities: [],
  overprovisioningFactor: 140,
  isHealthWeighted: false,
  dropOverloads: [],
  staleAfterMs: undefined,
};

/** Numbers of priorities are small (Envoy's limit), so that a list of them can be kept by number. */
const maxPriority = 128;

/** `names`: "allowed" leaves names to a resolver, "refused" wants addresses, as Envoy's STATIC and EDS do. */
export function compileAssignment(wire: ClusterLoadAssignment, names: "allowed" | "refused"): AssignmentPlan {
  const { policy } = wire;
  return {
    localities: compileAll("endpoints", wire.endpoints, (locality) => compileLocality(wire, locality, names)),
    overprovisioningFactor: wrappedNumber(policy?.overprovisioning_factor, 140),
    isHealthWeighted: policy?.weighted_priority_health ?? false,
    dropOverloads: within("policy", () => compileDropOverloads(policy?.drop_overloads)),
    staleAfterMs: durationToMs(policy?.endpoint_stale_after),
  };
}

function compileLocality(
  assignment: ClusterLoadAssignment,
  wire: LocalityLbEndpoints,
  names: "allowed" | "refused",
): LocalityPlan {
  if (wire.leds_cluster_locality_config) throw new ConfigError("leds_cluster_locality_config", "is not supported");
  const priority = wire.priority ?? 0;
  if (priority > maxPriority) throw new ConfigError("priority", `is above ${maxPriority}`);
  const { region = "", zone = "", sub_zone = "" } = wire.locality ?? {};
  const locality = { region, zone, sub_zone };
  const compile = (endpoint: LbEndpoint): EndpointPlan =>
    compileEndpoint(resolveName(assignment, endpoint), { locality, priority, names, localityMetadata: wire.metadata });
  const listed = wire.load_balancer_endpoints;
  return {
    locality,
    priority,
    weight: wrappedNumber(wire.load_balancing_weight, 0),
    endpoints: listed
      ? compileAll("load_balancer_endpoints.lb_endpoints", listed.lb_endpoints, compile)
      : compileAll("lb_endpoints", wire.lb_endpoints, compile),
  };
}

/** The endpoint in place of its name in named_endpoints. */
function resolveName(assignment: ClusterLoadAssignment, wire: LbEndpoint): LbEndpoint {
  const { endpoint_name: name, ...rest } = wire;
  if (name === undefined || name === "") return wire;
  return { ...rest, endpoint: need(`named_endpoints.${name}`, assignment.named_endpoints?.[name]) };
}

interface EndpointPlace {
  readonly locality: Host["locality"];
  readonly priority: number;
  readonly names: "allowed" | "refused";
  readonly localityMetadata: Metadata | undefined;
}

function compileEndpoint(wire: LbEndpoint, { locality, priority, names }: EndpointPlace): EndpointPlan {
  const endpoint: Endpoint = need("endpoint", wire.endpoint);
  const place = within("endpoint.address", () => readAddress(endpoint.address, names));
  compileAll("endpoint.additional_addresses", endpoint.additional_addresses, ({ address }) =>
    within("address", () => readAddress(address, names)),
  );
  const check = endpoint.health_check_config;
  const checkAddress = check?.address;
  const weight = wrappedNumber(wire.load_balancing_weight, 1);
  if (weight < 1) throw new ConfigError("load_balancing_weight", "must be at least 1");
  return {
    ...place,
    hostname: endpoint.hostname ?? "",
    locality,
    priority,
    weight,
    status: wire.health_status ?? "UNKNOWN",
    endpoint: wire,
    metadata: metadataToJson(wire.metadata),
    checkPort: check?.port_value ?? 0,
    checkIp: checkAddress
      ? within("endpoint.health_check_config.address", () => readAddress(checkAddress, "refused").ip)
      : undefined,
    isCheckDisabled: check?.disable_active_health_check ?? false,
  };
}

export interface Place {
  readonly address: string;
  readonly ip: string;
  readonly port: number;
}

function readAddress(wire: Address | undefined, names: "allowed" | "refused"): Place {
  if (wire?.envoy_internal_address) {
    throw new ConfigError("envoy_internal_address", "internal listeners are not supported");
  }
  if (wire?.pipe) {
    const path = need("pipe.path", wire.pipe.path);
    return { address: path, ip: path, port: 0 };
  }
  const {
    address = "",
    port_value: port = 0,
    named_port,
    resolver_name,
    protocol,
  } = need("socket_address", wire?.socket_address);
  if (named_port) throw new ConfigError("socket_address.named_port", "is not supported");
  if (resolver_name) throw new ConfigError("socket_address.resolver_name", "is not supported");
  if (protocol === "UDP") throw new ConfigError("socket_address.protocol", "UDP is not supported");
  if (names === "refused" && isIP(address) === 0) {
    throw new ConfigError("socket_address.address", `malformed IP address: ${address}`);
  }
  return placeOf(address, port);
}

/** The place as hosts are named: IPv6 addresses in brackets. */
export function placeOf(ip: string, port: number): Place {
  return { address: ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`, ip, port };
}

/** The metadata of filters as JSON, by name of the filter. */
export function metadataToJson(wire: Metadata | undefined): Readonly<Record<string, unknown>> {
  const json: Record<string, unknown> = {};
  for (const [name, message] of Object.entries(wire?.filter_metadata ?? {})) json[name] = structToJson(message);
  return json;
}
