import type { Gateway } from "../../api/gateway/schema.ts";
import { type Labels, labelsMatch } from "../../api/object.ts";
import type { Sidecar } from "../../api/sidecar/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { createSlotMemo, memoByKey } from "../../lib/slot-memo.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import type { Service } from "../../model/service.ts";
import type { ResolvedVirtualService, Snapshot } from "../../snapshot/snapshot.ts";
import { hasExtension } from "../capabilities.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import { forwardProxyCluster, forwardProxyFilter } from "../dns/dynamic-forward.ts";
import type { EgressListener, ScopeKey, ScopeView } from "../scope.ts";
import { findDestinationRule } from "./destination-rule-index.ts";
import { narrowToAudience } from "./narrow-service.ts";
import { layOverProxyConfig } from "./own-proxy-config.ts";
import { addHiddenDestinations, deriveSidecarScope, type SidecarScope } from "./sidecar-scope.ts";
import {
  indexByHostname,
  listGatewayServices,
  listVisibleRules,
  listVisibleServices,
  orderByAudience,
} from "./visible.ts";

const views = createSlotMemo<ScopeView>(Number.POSITIVE_INFINITY);

/**
 * The mesh as a scope sees it, made once for each snapshot and key. Its parts (`services`, `egressListeners`, ...) are the
 * objects of the snapshot before as long as they read the same, so that generators may memoize on identity.
 */
export function createScopeView(snapshot: Snapshot, key: ScopeKey): ScopeView {
  return views(
    { owner: snapshot, slot: key.id },
    [],
    () => new LazyScopeView(layOverProxyConfig(snapshot, key.proxyConfig), key),
  );
}

const noRules: readonly ResolvedVirtualService[] = [];
const noGateways: readonly Gateway[] = [];
const noListeners: readonly EgressListener[] = [];

class LazyScopeView implements ScopeView {
  readonly snapshot: Snapshot;
  readonly key: ScopeKey;
  readonly sidecar: Sidecar | undefined;
  readonly outboundTrafficPolicy: ScopeView["outboundTrafficPolicy"];
  readonly #destinationRules = new Map<string, MergedDestinationRule | undefined>();
  #scope: SidecarScope | undefined;
  #gateways: readonly Gateway[] | undefined;

  constructor(snapshot: Snapshot, key: ScopeKey) {
    this.snapshot = snapshot;
    this.key = key;
    this.sidecar = key.sidecar && snapshot.findObject("Sidecar", key.sidecar.namespace, key.sidecar.name);
    const policy = this.sidecar?.spec.outboundTrafficPolicy ?? snapshot.mesh.outboundTrafficPolicy;
    // A policy without a mode is the strict one: it is the first of the words in Istio's API.
    const { mode = "REGISTRY_ONLY" } = policy;
    this.outboundTrafficPolicy = mode === "ALLOW_ANY_DYNAMIC_DNS" && !canForwardDynamically(key) ? "ALLOW_ANY" : mode;
  }

  get egressListeners(): readonly EgressListener[] {
    return this.#imports().egressListeners;
  }

  get services(): readonly Service[] {
    return this.#imports().services;
  }

  get gateways(): readonly Gateway[] {
    if (this.key.proxyType !== "router") return noGateways;
    const { labels, namespace } = this.key;
    const own = this.snapshot.features.scopesGateways ? namespace : undefined;
    this.#gateways ??= listSelectingGateways(this.snapshot.gateways, JSON.stringify([labels, own]));
    return this.#gateways;
  }

  findService(hostname: string): Service | undefined {
    return indexByHostname(this.services).get(hostname);
  }

  findDestinationRule(
    service: Service,
    direction: "outbound" | "inbound" = "outbound",
  ): MergedDestinationRule | undefined {
    const text = `${direction}/${service.namespace}/${service.hostname}`;
    if (this.#destinationRules.has(text)) return this.#destinationRules.get(text);
    const { mesh, destinationRules } = this.snapshot;
    const rule = findDestinationRule(destinationRules, service, {
      client: { namespace: this.key.namespace, labels: this.key.labels, direction },
      options: { rootNamespace: mesh.rootNamespace, defaultExportTo: mesh.defaultDestinationRuleExportTo },
    });
    this.#destinationRules.set(text, rule);
    return rule;
  }

  listGatewayVirtualServices(gateway: string): readonly ResolvedVirtualService[] {
    const rules = this.snapshot.virtualServicesByGateway.get(gateway);
    return rules === undefined ? noRules : listVisibleRules(rules, this.key.namespace);
  }

  #imports(): SidecarScope {
    this.#scope ??= this.#deriveImports();
    return this.#scope;
  }

  #deriveImports(): SidecarScope {
    const { namespace, proxyType } = this.key;
    const { services } = this.snapshot;
    if (proxyType === "router") {
      return { egressListeners: noListeners, services: listGatewayServices(services.all, namespace) };
    }
    const visible = listVisibleServices(services.all, namespace);
    const virtualServices = this.listGatewayVirtualServices("mesh");
    if (this.sidecar === undefined) {
      const known = deriveDefaultScope(visible, virtualServices);
      return addHiddenDestinations(known, { index: services, namespace, virtualServices });
    }
    const candidates = listCandidates(services.all, namespace);
    return deriveSidecarScope(this.sidecar, namespace, { index: services, visible: candidates, virtualServices });
  }
}

// Istio has this policy for sidecars alone.
function canForwardDynamically({ proxyType, capabilities }: ScopeKey): boolean {
  return (
    proxyType === "sidecar" &&
    [forwardProxyCluster, forwardProxyFilter].every((name) => hasExtension(capabilities, name))
  );
}

/** Without a Sidecar: one listener that knows everything visible. */
const deriveDefaultScope = memoByIdentity(
  (services: readonly Service[], virtualServices: readonly ResolvedVirtualService[]): SidecarScope => ({
    services,
    egressListeners: [
      { port: undefined, bind: undefined, captureMode: "DEFAULT", services, virtualServices, sources: [] },
    ],
  }),
);

// A Sidecar names namespaces, so that hosts that stand in several of them are chosen among what it imports.
const listCandidates: (all: readonly Service[], namespace: string) => readonly Service[] = memoByKey(
  (all: readonly Service[], namespace) =>
    orderByAudience(
      all
        .filter((service) => isVisibleFrom(service.exportTo, service.namespace, namespace))
        .flatMap((service) => narrowToAudience(service, namespace) ?? []),
      namespace,
    ),
);

/** `selection` is the labels of the proxy, and the namespace of Gateways where it counts, as JSON. */
const listSelectingGateways: (gateways: readonly Gateway[], selection: string) => readonly Gateway[] = memoByKey(
  (gateways: readonly Gateway[], selection) => {
    const [parsed, own] = JSON.parse(selection) as readonly [Labels, string | null];
    const selecting = gateways.filter(
      ({ spec, meta }) => (own === null || meta.namespace === own) && labelsMatch(spec.selector ?? {}, parsed),
    );
    return selecting.length === gateways.length ? gateways : selecting;
  },
);
