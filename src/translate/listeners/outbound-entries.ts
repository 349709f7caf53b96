/**
 * Which outbound listeners a sidecar gets, and which chains services put into them (Istio: networking/core/listener.go,
 * buildSidecarOutboundListeners). HTTP services share a port, TCP services have their own address, and where both meet
 * the proxy finds out by the first bytes.
 */

import { isIP } from "node:net";
import { isUnixAddress } from "../../lib/host-port.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Message, ObjectRef } from "../../lib/message.ts";
import { isTcp, isUnsupported, type Protocol } from "../../lib/protocol.ts";
import { sortEntries } from "../../lib/text-order.ts";
import { servesPort } from "../../model/endpoint.ts";
import { atPort, type Service } from "../../model/service.ts";
import { wildcardOf } from "../address.ts";
import { buildListenerName } from "../names.ts";
import type { EgressListener, ScopeView } from "../scope.ts";
import { type ListenPlace, listListenPlaces, loopbackPlace, wildcardPlace } from "./addresses.ts";
import { addDnsCache, appendChains, type ChainPlan } from "./chain-plan.ts";
import { classifyProtocol, resolveConflict } from "./listener-conflicts.ts";
import { canListen } from "./reserved-ports.ts";
import { findServiceCache, type ListenPort, listenerProtocol, planServiceChains } from "./service-chains.ts";

/** A listener for services. */
export interface OutboundEntry {
  readonly bind: string;
  /** More addresses of the same listener. */
  readonly additional: readonly string[];
  readonly port: number;
  readonly bindsToPort: boolean;
  /** Never empty; no two match the same connections. */
  readonly chains: readonly ChainPlan[];
  readonly sources: ReadonlySet<ObjectRef>;
  /** True where the address is an endpoint of a headless service: its own workload needs no such listener. */
  readonly isEndpoint: boolean;
}

interface EntryDraft extends OutboundEntry {
  isEndpoint: boolean;
  chains: readonly ChainPlan[];
  /** What the listener has become by the services so far; "Unsupported" is one that sniffs. */
  protocol: Protocol;
  /** Whose port it is: the service that came first. */
  readonly hostname: string;
  /** Declared by a Sidecar for some services: the catch-all adds no others. */
  isLocked: boolean;
  readonly sources: Set<ObjectRef>;
}

type EntryTable = Map<string, EntryDraft>;

interface EgressContext {
  readonly view: ScopeView;
  readonly egress: EgressListener;
  readonly table: EntryTable;
  readonly messages: Message[];
  /** Given by the Sidecar, or loopback where nothing redirects traffic; undefined where services decide. */
  readonly place: ListenPlace | undefined;
  readonly bindsToPort: boolean;
}

interface Placement {
  readonly service: Service;
  readonly port: ListenPort;
  readonly place: ListenPlace | undefined;
  readonly isEndpoint: boolean;
}

interface OutboundEntries {
  readonly entries: readonly OutboundEntry[];
  readonly messages: readonly Message[];
}

/** All listeners for services, sorted by name; the same list for the same view, whoever asks. */
export function planOutboundEntries(view: ScopeView): readonly OutboundEntry[] {
  return planEntries(view).entries;
}

/** What is to be said of services that did not get an address and port that another one has. */
export function listListenerMessages(view: ScopeView): readonly Message[] {
  return planEntries(view).messages;
}

const planEntries: (view: ScopeView) => OutboundEntries = memoByIdentity((view: ScopeView): OutboundEntries => {
  const table: EntryTable = new Map();
  const messages: Message[] = [];
  for (const egress of view.egressListeners) {
    addEgress({ view, egress, table, messages, ...deriveBinding(view, egress) });
  }
  return { entries: sortEntries(table).map(([, entry]) => entry), messages };
});

/**
 * With redirection listeners are only looked up by the original destination. Without it (interception NONE, or a
 * Sidecar that says so for one listener) and for sockets the workload itself connects to them.
 */
function deriveBinding(view: ScopeView, egress: EgressListener): Pick<EgressContext, "place" | "bindsToPort"> {
  const { key } = view;
  const isSocket = isUnixAddress(egress.bind ?? "");
  const bindsToPort = key.interceptionMode === "NONE" || egress.captureMode === "NONE" || isSocket;
  if (egress.bind !== undefined && egress.bind !== "") {
    return { place: { bind: egress.bind, additional: [] }, bindsToPort };
  }
  return { place: bindsToPort ? loopbackPlace(key) : undefined, bindsToPort };
}

function addEgress(context: EgressContext): void {
  const { egress, table } = context;
  if (egress.port !== undefined) {
    for (const service of egress.services) {
      addService(context, { service, port: egress.port, place: context.place, isEndpoint: false });
    }
    return;
  }
  for (const entry of table.values()) entry.isLocked = true;
  for (const service of egress.services) {
    for (const port of service.ports) {
      const part = atPort(service, port.number);
      addServicePort(context, { service: part, port, place: context.place, isEndpoint: false });
    }
  }
}

/** A headless service has no address: clients connect to its endpoints, so TCP needs a listener for each of them. */
function addServicePort(context: EgressContext, placement: Placement): void {
  const { service, port } = placement;
  const { key, snapshot } = context.view;
  const isByAddress = isTcp(port.protocol) || isUnsupported(port.protocol);
  const [first] = listListenPlaces(service, { key, features: snapshot.features });
  const hasAddress = first?.bind !== wildcardOf(key) || first.block !== undefined;
  if (context.place !== undefined || service.resolution !== "passthrough" || !isByAddress || hasAddress) {
    addService(context, placement);
    return;
  }
  const endpoints = snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter((endpoint) => servesPort(endpoint, port));
  // Only a ServiceEntry of resolution NONE can be without endpoints for ever and still mean something: any address. For
  // others a listener on all addresses would come and go with the endpoints and clash with those of other services.
  if (service.registry === "External" && endpoints.length === 0 && service.selector === undefined) {
    addService(context, placement);
    return;
  }
  for (const { address, additionalAddresses = [] } of endpoints) {
    if (isIP(address) === 0) continue;
    const additional = snapshot.features.dualStack ? additionalAddresses : [];
    addService(context, { ...placement, place: { bind: address, additional }, isEndpoint: true });
  }
}

function addService(context: EgressContext, placement: Placement): void {
  const { service, port } = placement;
  if (service.resolution === "alias") return;
  const { view } = context;
  const kind = classifyProtocol(port.protocol);
  if (kind === undefined) return;
  if (placement.place !== undefined) {
    addAt(context, placement, placement.place);
  } else if (kind === "http") {
    addAt(context, placement, wildcardPlace(view.key));
  } else {
    const places = listListenPlaces(service, { key: view.key, features: view.snapshot.features });
    for (const place of places) addAt(context, placement, place);
  }
}

/** Puts one port of a service at one address: a new listener, or into the one that stands there. */
function addAt(context: EgressContext, placement: Placement, { bind, additional, block }: ListenPlace): void {
  const { view, egress, table, bindsToPort } = context;
  const { service, port, isEndpoint } = placement;
  const { protocol, number } = port;
  if (!canListen(view.key, { bind, port: number, protocol, bindsToPort }, view.snapshot.mesh)) return;
  const name = buildListenerName(bind, number);
  const existing = table.get(name);
  if (existing?.isLocked === true) return;
  const resolution = resolveConflict(protocol, existing?.protocol);
  if (resolution === "refuse") {
    reportConflict(context, placement, existing);
    return;
  }
  if (existing !== undefined && !isEndpoint) existing.isEndpoint = false;
  if (existing !== undefined && resolution === "share") {
    const cache = findServiceCache(view, service);
    if (cache !== undefined) existing.chains = addDnsCache(existing.chains, cache);
    addSources(existing, egress, service);
    return;
  }
  const bindsWildcard = bind === wildcardOf(view.key);
  const blocks = block === undefined ? [] : [block];
  const request = { service, port, bind, bindsWildcard, blocks, virtualServices: egress.virtualServices };
  const chains = appendChains([], planServiceChains(view, request));
  if (existing === undefined || resolution === "replace") {
    const entry = {
      bind,
      additional,
      port: number,
      bindsToPort,
      chains,
      hostname: service.hostname,
      protocol: listenerProtocol(request),
      isLocked: false,
      isEndpoint,
      sources: new Set<ObjectRef>(),
    };
    addSources(entry, egress, service);
    table.set(name, entry);
    return;
  }
  const merged = appendChains(existing.chains, chains);
  if (countTcp(merged) < countTcp(existing.chains) + countTcp(chains)) reportConflict(context, placement, existing);
  existing.chains = merged;
  if (resolution === "mergeAndSniff") existing.protocol = "Unsupported";
  addSources(existing, egress, service);
}

function countTcp(chains: readonly ChainPlan[]): number {
  return chains.filter(({ content }) => content.kind === "tcp").length;
}

// Endpoints that several headless services share are no mistake: each leads to the same place.
function reportConflict({ messages }: EgressContext, placement: Placement, existing: EntryDraft | undefined): void {
  const { service, port, isEndpoint } = placement;
  if (existing === undefined || isEndpoint || existing.hostname === service.hostname) return;
  messages.push({
    level: "warning",
    code: "listener-port-conflict",
    object: service.object,
    path: "spec.ports",
    text: `${port.protocol} on port ${port.number} cannot be told from ${existing.hostname}, which has ${existing.bind}:${port.number}`,
  });
}

function addSources(entry: EntryDraft, egress: EgressListener, service: Service): void {
  for (const source of egress.sources) entry.sources.add(source);
  entry.sources.add(service.object);
}
