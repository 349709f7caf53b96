import { compareByAge, type Labels, labelsMatch, type ObjectMeta } from "../api/object.ts";

/** How a workload takes connections on a port. */
export type MtlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

type StatedMode = { readonly mode?: "UNSET" | MtlsMode };

/** The part of a PeerAuthentication that decides. */
export interface MtlsPolicy {
  readonly meta: ObjectMeta;
  readonly spec: {
    readonly selector?: { readonly matchLabels?: Labels };
    readonly mtls?: StatedMode;
    readonly portLevelMtls?: { readonly [port: string]: StatedMode };
  };
}

export interface MtlsSubject {
  readonly namespace: string;
  readonly labels: Labels;
  readonly rootNamespace: string;
}

/** What holds for a workload: `ports` are exceptions by number of the workload's port. */
export interface MtlsModes<Policy extends MtlsPolicy = MtlsPolicy> {
  readonly mode: MtlsMode;
  readonly ports: ReadonlyMap<number, MtlsMode>;
  /** The policies that were read, the widest first: mesh, namespace, workload. */
  readonly policies: readonly Policy[];
}

/**
 * Evaluates peer authentication (Istio: security/authn ComposePeerAuthentication): the policy of the mesh (root namespace,
 * no selector) is overridden by that of the namespace and this by that of the workload; of several of one level the oldest
 * counts; what is unset is inherited, and PERMISSIVE in the end. Only a workload's policy has ports of its own.
 */
export function evaluateMtls<Policy extends MtlsPolicy>(
  policies: readonly Policy[],
  subject: MtlsSubject,
): MtlsModes<Policy> {
  const inForce = policies
    .filter((policy) => policy.meta.namespace === subject.namespace || policy.meta.namespace === subject.rootNamespace)
    .sort(compareByAge);
  const isGeneral = (policy: Policy): boolean => Object.keys(policy.spec.selector?.matchLabels ?? {}).length === 0;
  const mesh = inForce.find((policy) => policy.meta.namespace === subject.rootNamespace && isGeneral(policy));
  const namespace = inForce.find((policy) => policy.meta.namespace === subject.namespace && isGeneral(policy));
  const workload = inForce.find(
    (policy) =>
      policy.meta.namespace === subject.namespace &&
      !isGeneral(policy) &&
      labelsMatch(policy.spec.selector?.matchLabels ?? {}, subject.labels),
  );
  const chosen = [mesh, namespace === mesh ? undefined : namespace, workload].filter((policy) => policy !== undefined);
  let mode: MtlsMode = "PERMISSIVE";
  for (const policy of chosen) mode = resolveMode(policy.spec.mtls, mode);
  const ports = new Map<number, MtlsMode>();
  for (const [port, stated] of Object.entries(workload?.spec.portLevelMtls ?? {})) {
    ports.set(Number(port), resolveMode(stated, mode));
  }
  return { mode, ports, policies: chosen };
}

/** The mode on one port of the workload. */
export function modeOfPort(modes: MtlsModes, port: number): MtlsMode {
  return modes.ports.get(port) ?? modes.mode;
}

function resolveMode(stated: StatedMode | undefined, inherited: MtlsMode): MtlsMode {
  return stated?.mode === undefined || stated.mode === "UNSET" ? inherited : stated.mode;
}
