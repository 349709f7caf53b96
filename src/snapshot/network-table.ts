import type { KubeNode, KubeService } from "../api/kubernetes/types.ts";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import { refOf } from "../api/object.ts";
import { objectKey } from "../lib/message.ts";
import type { NetworkGateway } from "../model/network-gateway.ts";
import { deriveNetworkGateways, mayBeGateway } from "../registry/network-gateways.ts";
import { createNetworkLookup } from "../registry/network-lookup.ts";
import { keepIfEqual } from "./is-deep-equal.ts";
import type { ObjectDelta } from "./object-store.ts";

export interface NetworkUpdate {
  readonly deltas: readonly ObjectDelta[];
  readonly networks: MeshNetworks;
  /** Network that the label of the control plane's namespace states; "" for none. */
  readonly ofNamespace: string;
  /** All objects of these kinds, for what the deltas alone do not tell. */
  readonly listServices: () => readonly KubeService[];
  readonly listNodes: () => readonly KubeNode[];
}

/** Networks of addresses and the gateways between networks, kept up to date. Lives as long as its builder. */
export class NetworkTable {
  readonly #place: { readonly domain: string; readonly clusterId: string };
  /** Services that may be gateways, by object key. */
  readonly #candidates = new Map<string, KubeService>();
  #networks: MeshNetworks | undefined;
  #ofNamespace = "";
  #gateways: readonly NetworkGateway[] = [];
  #find: (address: string) => string = () => "";

  constructor(place: { readonly domain: string; readonly clusterId: string }) {
    this.#place = place;
  }

  /** Sorted by address and port; the same array until a gateway changes. */
  get gateways(): readonly NetworkGateway[] {
    return this.#gateways;
  }

  /** Network of an address whose workload states none; "" for none. The same function until its answers may differ. */
  get find(): (address: string) => string {
    return this.#find;
  }

  update(update: NetworkUpdate): void {
    const { domain, clusterId } = this.#place;
    const { networks, ofNamespace } = update;
    const isOther = networks !== this.#networks;
    if (isOther || ofNamespace !== this.#ofNamespace) {
      this.#find = createNetworkLookup({ ofNamespace, networks, clusterId });
      this.#ofNamespace = ofNamespace;
    }
    this.#networks = networks;
    const touched = isOther ? this.#scan(update) : this.#note(update);
    if (!touched && !(this.#hasNodePorts() && update.deltas.some(({ ref }) => ref.kind === "Node"))) return;
    const services = [...this.#candidates.values()];
    const nodes = this.#hasNodePorts() ? update.listNodes() : [];
    const gateways = deriveNetworkGateways({ services, nodes, networks, domain, clusterId });
    this.#gateways = keepIfEqual(this.#gateways, gateways);
  }

  /** True where a service that is or was a gateway changed. */
  #note({ deltas, networks }: NetworkUpdate): boolean {
    let touched = false;
    for (const { ref, after } of deltas) {
      if (ref.kind !== "Service") continue;
      const service = after as KubeService | undefined;
      const isCandidate = service !== undefined && mayBeGateway(service, networks, this.#place.domain);
      touched ||= isCandidate || this.#candidates.has(objectKey(ref));
      if (isCandidate) this.#candidates.set(objectKey(ref), service);
      else this.#candidates.delete(objectKey(ref));
    }
    return touched;
  }

  #scan({ networks, listServices }: NetworkUpdate): boolean {
    this.#candidates.clear();
    for (const service of listServices()) {
      if (!mayBeGateway(service, networks, this.#place.domain)) continue;
      this.#candidates.set(objectKey(refOf(service)), service);
    }
    return true;
  }

  #hasNodePorts(): boolean {
    return [...this.#candidates.values()].some(({ spec }) => spec.type === "NodePort");
  }
}
