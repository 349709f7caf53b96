/**
 * Which outbound listeners a sidecar gets, and which chains services put into them (Istio: networking/core/listener.go,
 * buildSidecarOutboundListeners). HTTP services share a port, TCP services have their own address, and where both meet
 * the proxy finds out by the first bytes.
 */

import { isIP } from "node:net";
import { isUnixAddress } from "../../lib/host-port.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { isTcp, isUnsupported, type Protocol } from "../../lib/protocol.ts";
import { sortEntries } from "../../lib/text-order.ts";
import type { Service } from "../../model/service.ts";
import { loopbackOf, wildcardOf } from "../address.ts";
import { buildListenerName } from "../names.ts";
import type { EgressListener, ScopeView } from "../scope.ts";
import { listListenAddresses } from "./addresses.ts";
import { appendChains, type ChainPlan } from "./chain-plan.ts";
import { classifyProtocol, resolveConflict } from "./listener-conflicts.ts";
import { canListen } from "./reserved-ports.ts";
import { type ListenPort, listenerProtocol, planServiceChains } from "./service-chains.ts";

/** A listener for services. */
export interface OutboundEntry {
  readonly bind: string;
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
  /** Declared by a Sidecar for some services: the catch-all adds no others. */
  isLocked: boolean;
  readonly sources: Set<ObjectRef>;
}

type EntryTable = Map<string, EntryDraft>;

interface EgressContext {
  readonly view: ScopeView;
  readonly egress: EgressListener;
  readonly table: EntryTable;
  /** Given by the Sidecar, or loopback where nothing redirects traffic; undefined where services decide. */
  readonly bind: string | undefined;
  readonly bindsToPort: boolean;
}

interface Placement {
  readonly service: Service;
  readonly port: ListenPort;
  readonly bind: string | undefined;
  readonly isEndpoint: boolean;
}

/** All listeners for services, sorted by name; the same list for the same view, whoever asks. */
export const planOutboundEntries: (view: ScopeView) => readonly OutboundEntry[] = memoByIdentity(planEntries);

function planEntries(view: ScopeView): readonly OutboundEntry[] {
  const table: EntryTable = new Map();
  for (const egress of view.egressListeners) addEgress({ view, egress, table, ...deriveBinding(view, egress) });
  return sortEntries(table).map(([, entry]) => entry);
}

/**
 * With redirection listeners are only looked up by the original destination. Without it (interception NONE, or a
 * Sidecar that says so for one listener) and for sockets the workload itself connects to them.
 */
function deriveBinding(view: ScopeView, egress: EgressListener): Pick<EgressContext, "bind" | "bindsToPort"> {
  const { key } = view;
  const isSocket = isUnixAddress(egress.bind ?? "");
  const bindsToPort = key.interceptionMode === "NONE" || egress.captureMode === "NONE" || isSocket;
  if (egress.bind !== undefined && egress.bind !== "") return { bind: egress.bind, bindsToPort };
  return { bind: bindsToPort ? loopbackOf(key) : undefined, bindsToPort };
}

function addEgress(context: EgressContext): void {
  const { egress, table } = context;
  if (egress.port !== undefined) {
    for (const service of egress.services) {
      addService(context, { service, port: egress.port, bind: context.bind, isEndpoint: false });
    }
    return;
  }
  for (const entry of table.values()) entry.isLocked = true;
  for (const service of egress.services) {
    for (const port of service.ports) addServicePort(context, { service, port, bind: context.bind, isEndpoint: false });
  }
}

/** A headless service has no address: clients connect to its endpoints, so TCP needs a listener for each of them. */
function addServicePort(context: EgressContext, placement: Placement): void {
  const { service, port } = placement;
  const { key, snapshot } = context.view;
  const isByAddress = isTcp(port.protocol) || isUnsupported(port.protocol);
  const { hosts } = listListenAddresses(service, key);
  if (
    context.bind !== undefined ||
    service.resolution !== "passthrough" ||
    !isByAddress ||
    hosts[0] !== wildcardOf(key)
  ) {
    addService(context, placement);
    return;
  }
  const endpoints = snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter(({ servicePortName }) => servicePortName === port.name);
  // Only a ServiceEntry of resolution NONE can be without endpoints for ever and still mean something: any address. For
  // others a listener on all addresses would come and go with the endpoints and clash with those of other services.
  if (service.registry === "External" && endpoints.length === 0 && service.selector === undefined) {
    addService(context, placement);
    return;
  }
  for (const { address } of endpoints) {
    if (isIP(address) !== 0) addService(context, { ...placement, bind: address, isEndpoint: true });
  }
}

function addService(context: EgressContext, placement: Placement): void {
  const { service, port } = placement;
  if (service.resolution === "alias") return;
  const { view } = context;
  const kind = classifyProtocol(port.protocol);
  if (kind === undefined) return;
  if (placement.bind !== undefined) {
    place(context, { ...placement, bind: placement.bind }, []);
  } else if (kind === "http") {
    place(context, { ...placement, bind: wildcardOf(view.key) }, []);
  } else {
    const { hosts, blocks } = listListenAddresses(service, view.key);
    for (const bind of hosts) place(context, { ...placement, bind }, []);
    // Many blocks share the listener on all addresses; chains tell them apart.
    if (blocks.length > 0) place(context, { ...placement, bind: wildcardOf(view.key) }, blocks);
  }
}

/** Puts one port of a service at one address: a new listener, or into the one that stands there. */
function place(
  context: EgressContext,
  placement: Placement & { readonly bind: string },
  blocks: readonly string[],
): void {
  const { view, egress, table, bindsToPort } = context;
  const { service, port, bind, isEndpoint } = placement;
  const { protocol, number } = port;
  if (!canListen(view.key, { bind, port: number, protocol, bindsToPort }, view.snapshot.mesh)) return;
  const name = buildListenerName(bind, number);
  const existing = table.get(name);
  if (existing?.isLocked === true) return;
  const resolution = resolveConflict(protocol, existing?.protocol);
  if (resolution === "refuse") return;
  if (existing !== undefined && !isEndpoint) existing.isEndpoint = false;
  if (existing !== undefined && resolution === "share") {
    addSources(existing, egress, service);
    return;
  }
  const bindsWildcard = bind === wildcardOf(view.key);
  const request = { service, port, bind, bindsWildcard, blocks, virtualServices: egress.virtualServices };
  const chains = appendChains([], planServiceChains(view, request));
  if (existing === undefined || resolution === "replace") {
    const entry = {
      bind,
      port: number,
      bindsToPort,
      chains,
      protocol: listenerProtocol(request),
      isLocked: false,
      isEndpoint,
      sources: new Set<ObjectRef>(),
    };
    addSources(entry, egress, service);
    table.set(name, entry);
    return;
  }
  existing.chains = appendChains(existing.chains, chains);
  if (resolution === "mergeAndSniff") existing.protocol = "Unsupported";
  addSources(existing, egress, service);
}

function addSources(entry: EntryDraft, egress: EgressListener, service: Service): void {
  for (const source of egress.sources) entry.sources.add(source);
  entry.sources.add(service.object);
}
