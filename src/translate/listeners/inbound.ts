/** All inbound listeners of a workload (Istio: networking/core/listener_inbound.go, buildInboundListeners). */
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { refOf } from "../../api/object.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { evaluateMtls, type MtlsModes, modeOfPort } from "../../model/mtls.ts";
import { wildcardOf } from "../address.ts";
import type { Built } from "../built.ts";
import { buildListenerName, virtualInboundListener } from "../names.ts";
import { deriveFilterFacts } from "../network-filters/filter-facts.ts";
import type { WorkloadView } from "../scope.ts";
import { wildcardPlace } from "./addresses.ts";
import { buildInboundListener, type InboundListenerPlan } from "./inbound-listener.ts";
import { type InboundTarget, listInboundTargets, passthroughTarget } from "./inbound-targets.ts";
import { buildOnce, type ListenerBuilder } from "./listener-memo.ts";
import { planOutboundEntries } from "./outbound-entries.ts";

const builder: ListenerBuilder<InboundListenerPlan> = { build: buildInboundListener, readsIdentity: () => true };

/**
 * The listener that takes redirected traffic, with chains for every port, then those of ports that a Sidecar has bound on
 * their own. A listener that stays equal is the same object, also for workloads that differ in nothing it says.
 */
export function inboundListeners(view: WorkloadView): readonly Built<Listener>[] {
  const { key, snapshot } = view.scope;
  const modes = evaluateMtls(snapshot.peerAuthentications, {
    namespace: key.namespace,
    labels: view.key.labels,
    rootNamespace: snapshot.mesh.rootNamespace,
  });
  const policies = modes.policies.map((policy) => refOf(policy));
  const targets = listInboundTargets(view, modes);
  const own = leaveOutTaken(view, targets.filter(({ bindsToPort }) => bindsToPort).map(planOwnListener));
  const plans = key.interceptionMode === "NONE" ? own : [planVirtualInbound({ view, modes, targets }), ...own];
  const facts = deriveFilterFacts(view.key.listener, snapshot);
  return plans.map((plan) => ({
    name: plan.name,
    message: buildOnce(plan, facts, builder),
    sources: listSources(plan, policies),
  }));
}

function planOwnListener(target: InboundTarget): InboundListenerPlan {
  const { bind, additional, port } = target;
  const name = buildListenerName(bind, port);
  return { name, bind, additional, port, takesRedirected: false, isTransparent: false, targets: [target] };
}

/** A Sidecar may bind an outbound listener to the very address: Envoy refuses the second of two. */
function leaveOutTaken(view: WorkloadView, plans: readonly InboundListenerPlan[]): readonly InboundListenerPlan[] {
  if (plans.length === 0) return plans;
  const { ownHeadlessAddresses } = view.key.listener;
  const outbound = planOutboundEntries(view.scope).filter(
    ({ isEndpoint, bind }) => !isEndpoint || !ownHeadlessAddresses.includes(bind),
  );
  const taken = new Set(outbound.map(({ bind, port }) => buildListenerName(bind, port)));
  return plans.filter(({ name }) => !taken.has(name));
}

interface VirtualInbound {
  readonly view: WorkloadView;
  readonly modes: MtlsModes;
  readonly targets: readonly InboundTarget[];
}

function planVirtualInbound({ view, modes, targets }: VirtualInbound): InboundListenerPlan {
  const { key, snapshot } = view.scope;
  return {
    name: virtualInboundListener,
    bind: wildcardOf(key),
    additional: snapshot.features.dualStack ? wildcardPlace(key).additional : [],
    port: snapshot.mesh.proxyInboundListenPort,
    takesRedirected: true,
    isTransparent: key.interceptionMode === "TPROXY",
    targets: [...planPassthrough(snapshot.mesh, modes, targets), ...targets.filter(({ bindsToPort }) => !bindsToPort)],
  };
}

/** Traffic to ports that no service has, and of these once more the ones that a policy speaks of. */
function planPassthrough(
  mesh: MeshConfig,
  modes: MtlsModes,
  targets: readonly InboundTarget[],
): readonly InboundTarget[] {
  const served = new Set(targets.map(({ port }) => port));
  const named = [...modes.ports.keys()].filter((port) => !served.has(port)).sort((a, b) => a - b);
  return [
    passthroughTarget(mesh, modes.mode, 0),
    ...named.map((port) => passthroughTarget(mesh, modeOfPort(modes, port), port)),
  ];
}

function listSources({ targets }: InboundListenerPlan, policies: readonly ObjectRef[]): readonly ObjectRef[] {
  return [...new Set([...targets.flatMap(({ sources }) => sources.map(({ object }) => object)), ...policies])];
}
