import type { Kind, MeshObject, ObjectOf } from "../api/kinds.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { compareByAge, type Labels } from "../api/object.ts";
import { isDeepEqual, keepIfEqual, keepIfSameElements } from "./is-deep-equal.ts";
import { listObjects, type ObjectMaps } from "./object-store.ts";
import { DestinationRuleResolver } from "./resolve-destination-rules.ts";
import { VirtualServiceResolver } from "./resolve-virtual-services.ts";
import { deriveSelectorPairs, mayReadProxyLabels } from "./selector-labels.ts";
import type { ResolvedVirtualService, SelectorPairs, Snapshot } from "./snapshot.ts";

/** What a snapshot holds of the configuration; parts are identical as long as they read the same. */
export type ConfigView = Pick<
  Snapshot,
  | "virtualServices"
  | "virtualServicesByGateway"
  | "destinationRules"
  | "gateways"
  | "sidecars"
  | "peerAuthentications"
  | "envoyFilters"
  | "namespaceLabels"
  | "selectorLabels"
  | "selectorPairs"
>;

const emptyView: ConfigView = {
  virtualServices: [],
  virtualServicesByGateway: new Map(),
  destinationRules: [],
  gateways: [],
  sidecars: [],
  peerAuthentications: [],
  envoyFilters: [],
  namespaceLabels: new Map(),
  selectorLabels: new Set(),
  selectorPairs: { outbound: new Set(), all: new Set(), compared: new Set() },
};

/** Configuration objects ready for use, kept up to date kind by kind. Lives as long as its builder. */
export class ConfigTable {
  readonly #virtualServices: VirtualServiceResolver;
  readonly #destinationRules: DestinationRuleResolver;
  #defaultExportTo: readonly string[] = [];
  #view: ConfigView = emptyView;

  constructor(domain: string) {
    this.#virtualServices = new VirtualServiceResolver(domain);
    this.#destinationRules = new DestinationRuleResolver(domain);
  }

  get view(): ConfigView {
    return this.#view;
  }

  /** Makes the parts of the changed kinds anew. */
  update(maps: ObjectMaps, kinds: ReadonlySet<string>, mesh: MeshConfig): void {
    const before = this.#view;
    const byAge = <K extends Kind>(kind: K, list: readonly ObjectOf<K>[]): readonly ObjectOf<K>[] =>
      kinds.has(kind) ? keepIfSameElements(list, listByAge(maps, kind)) : list;
    const exportToChanged = !isDeepEqual(this.#defaultExportTo, mesh.defaultVirtualServiceExportTo);
    this.#defaultExportTo = mesh.defaultVirtualServiceExportTo;
    const selectorPairs = [...kinds].some((kind) => kind === "MeshConfig" || mayReadProxyLabels(kind))
      ? keepIfEqual(before.selectorPairs, deriveSelectorPairs(listSelecting(maps), mesh))
      : before.selectorPairs;
    const virtualServices =
      kinds.has("VirtualService") || exportToChanged
        ? keepIfSameElements(
            before.virtualServices,
            this.#virtualServices.resolve(listByAge(maps, "VirtualService"), this.#defaultExportTo),
          )
        : before.virtualServices;
    this.#view = {
      virtualServices,
      virtualServicesByGateway:
        virtualServices === before.virtualServices
          ? before.virtualServicesByGateway
          : groupByGateway(virtualServices, before.virtualServicesByGateway),
      destinationRules: kinds.has("DestinationRule")
        ? keepIfSameElements(
            before.destinationRules,
            listByAge(maps, "DestinationRule").map((rule) => this.#destinationRules.resolve(rule)),
          )
        : before.destinationRules,
      gateways: byAge("Gateway", before.gateways),
      sidecars: byAge("Sidecar", before.sidecars),
      peerAuthentications: byAge("PeerAuthentication", before.peerAuthentications),
      envoyFilters: byAge("EnvoyFilter", before.envoyFilters),
      namespaceLabels: kinds.has("Namespace")
        ? keepIfEqual(before.namespaceLabels, listNamespaceLabels(maps))
        : before.namespaceLabels,
      selectorPairs,
      selectorLabels:
        selectorPairs === before.selectorPairs
          ? before.selectorLabels
          : keepIfEqual(before.selectorLabels, namesOf(selectorPairs)),
    };
  }
}

function listByAge<K extends Kind>(maps: ObjectMaps, kind: K): readonly ObjectOf<K>[] {
  return [...listObjects(maps, kind)].sort(compareByAge);
}

function groupByGateway(
  virtualServices: readonly ResolvedVirtualService[],
  before: ReadonlyMap<string, readonly ResolvedVirtualService[]>,
): ReadonlyMap<string, readonly ResolvedVirtualService[]> {
  const groups = new Map<string, ResolvedVirtualService[]>();
  for (const rule of virtualServices) {
    for (const gateway of new Set(rule.gateways)) {
      const group = groups.get(gateway);
      if (group === undefined) groups.set(gateway, [rule]);
      else group.push(rule);
    }
  }
  return new Map([...groups].map(([gateway, group]) => [gateway, keepIfSameElements(before.get(gateway), group)]));
}

function* listSelecting(maps: ObjectMaps): Iterable<MeshObject> {
  for (const [kind, map] of maps) {
    if (mayReadProxyLabels(kind)) yield* map.values();
  }
}

function listNamespaceLabels(maps: ObjectMaps): ReadonlyMap<string, Labels> {
  return new Map(listObjects(maps, "Namespace").map((object) => [object.meta.name, object.meta.labels]));
}

function namesOf(pairs: SelectorPairs): ReadonlySet<string> {
  return new Set([...pairs.all].map((pair) => pair.slice(0, pair.indexOf("="))));
}
