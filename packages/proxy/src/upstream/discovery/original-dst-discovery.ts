/** ORIGINAL_DST: the host is where the client wanted to go before it was redirected, or where a header says. */

import { isIP } from "node:net";
import { durationToMs } from "@meltemi/protos";
import type { Cluster_OriginalDstLbConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import type { MetadataKey } from "@meltemi/protos/envoy/type/metadata/v3";
import type { Timer } from "../../lib/clock.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { type EndpointPlan, type Place, placeOf } from "../hosts/endpoint-plan.ts";
import type { LoadBalancerContext } from "../types.ts";
import type { CompileDiscovery, Discovery, DiscoveryParts } from "./discovery.ts";

const defaultHeader = "x-envoy-original-dst-host";
const filterStateKey = "envoy.network.transport_socket.original_dst_address";
const defaultCleanupMs = 5000;

type FindPlace = (context: LoadBalancerContext) => Place | "invalid" | undefined;

export const compileOriginalDst: CompileDiscovery = (cluster) => {
  if (cluster.load_assignment !== undefined) {
    throw new ConfigError("load_assignment", "ORIGINAL_DST clusters must have no load assignment configured");
  }
  if (cluster.lb_policy !== "CLUSTER_PROVIDED" && cluster.load_balancing_policy === undefined) {
    throw new ConfigError(
      "lb_policy",
      `cluster: LB policy ${cluster.lb_policy ?? "ROUND_ROBIN"} is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is allowed with cluster type 'ORIGINAL_DST'`,
    );
  }
  const findPlace = within("original_dst_lb_config", () => compilePlace(cluster.original_dst_lb_config));
  const cleanupMs = durationToMs(cluster.cleanup_interval) ?? defaultCleanupMs;
  if (cleanupMs <= 0) throw new ConfigError("cleanup_interval", "must be above 0");
  return (parts) => new OriginalDstDiscovery(findPlace, cleanupMs, parts);
};

function compilePlace(wire: Cluster_OriginalDstLbConfig | undefined): FindPlace {
  const port = wire?.upstream_port_override?.value;
  if (port !== undefined && port > 65_535) throw new ConfigError("upstream_port_override", "is above 65535");
  const header = wire?.use_http_header ? (wire.http_header_name || defaultHeader).toLowerCase() : undefined;
  const readMetadata = wire?.metadata_key ? compileMetadataKey(wire.metadata_key) : () => undefined;
  const find: FindPlace = (context) => {
    const { downstream } = context;
    const state = downstream?.info.findFilterState(filterStateKey)?.text;
    if (state !== undefined) return parsePlace(state);
    const named = (header === undefined ? undefined : context.headers?.get(header)) ?? readMetadata(context);
    if (named !== undefined) return parsePlace(named);
    if (downstream?.isLocalAddressRestored !== true) return undefined;
    return placeOf(downstream.localAddress.ip, downstream.localAddress.port);
  };
  if (port === undefined) return find;
  return (context) => {
    const place = find(context);
    return place === undefined || place === "invalid" ? place : placeOf(place.ip, port);
  };
}

function compileMetadataKey({
  key = "",
  path = [],
}: MetadataKey): (context: LoadBalancerContext) => string | undefined {
  const keys = path.map((segment) => segment.key ?? "");
  return ({ downstream }) => {
    let value: unknown = downstream?.info.dynamicMetadata.get(key);
    for (const each of keys) {
      if (typeof value !== "object" || value === null) return undefined;
      value = new Map<string, unknown>(Object.entries(value)).get(each);
    }
    return typeof value === "string" ? value : undefined;
  };
}

function parsePlace(text: string): Place | "invalid" {
  const [, bracketed, plain, portText = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
  const ip = bracketed ?? plain ?? "";
  const port = Number(portText);
  if (isIP(ip) === 0 || port > 65_535 || portText === "") return "invalid";
  return placeOf(ip, port);
}

class OriginalDstDiscovery implements Discovery {
  readonly ready = Promise.resolve();
  readonly dropOverloads = [];
  readonly #findPlace: FindPlace;
  readonly #parts: DiscoveryParts;
  readonly #timer: Timer;
  readonly #plans = new Map<string, EndpointPlan>();
  /** Those that were chosen since the last cleaning. */
  #used = new Set<string>();

  constructor(findPlace: FindPlace, cleanupMs: number, parts: DiscoveryParts) {
    this.#findPlace = findPlace;
    this.#parts = parts;
    this.#timer = parts.clock.every(cleanupMs, () => this.#clean());
  }

  choose(context: LoadBalancerContext): ClusterHost | undefined {
    const place = this.#findPlace(context);
    if (place === "invalid") this.#parts.stats.counter("original_dst_host_invalid").inc();
    if (place === undefined || place === "invalid") return undefined;
    this.#used.add(place.address);
    const { members } = this.#parts;
    const known = members.find(place.address);
    if (known !== undefined) return known;
    this.#plans.set(place.address, planOf(place));
    this.#update();
    return members.find(place.address);
  }

  close(): void {
    this.#timer.close();
  }

  /** Hosts that nobody asked for and that have nothing to do go. */
  #clean(): void {
    let isChanged = false;
    for (const address of this.#plans.keys()) {
      if (this.#used.has(address) || (this.#parts.members.find(address)?.activeRequests ?? 0) > 0) continue;
      this.#plans.delete(address);
      isChanged = true;
    }
    this.#used = new Set();
    if (isChanged) this.#update();
  }

  #update(): void {
    this.#parts.members.update(assignmentOf(this.#plans.values()));
  }
}

const nowhere = { region: "", zone: "", sub_zone: "" };

/** A host that is known by its place alone. */
export function planOf(place: Place, hostname = ""): EndpointPlan {
  return {
    ...place,
    hostname,
    locality: nowhere,
    priority: 0,
    weight: 1,
    status: "UNKNOWN",
    endpoint: {
      endpoint: { address: { socket_address: { address: place.ip, port_value: place.port } }, hostname },
    },
    metadata: {},
    checkPort: 0,
    checkIp: undefined,
    isCheckDisabled: true,
  };
}

/** Hosts without localities as an assignment. */
export function assignmentOf(plans: Iterable<EndpointPlan>): Parameters<DiscoveryParts["members"]["update"]>[0] {
  return {
    localities: [{ locality: nowhere, priority: 0, weight: 0, endpoints: [...plans] }],
    overprovisioningFactor: 140,
    isHealthWeighted: false,
    dropOverloads: [],
    staleAfterMs: undefined,
  };
}
