/** Whether clients speak mutual TLS to an endpoint (Istio: xds/endpoints/mtls_checker.go). */
import type { DestinationRuleSpec, TrafficPolicy } from "../../api/destination-rule/schema.ts";
import type { Endpoint } from "../../model/endpoint.ts";
import { evaluateMtls, modeOfPort } from "../../model/mtls.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

/** The cluster whose endpoints are asked about. */
export interface MtlsQuestion {
  readonly snapshot: Snapshot;
  readonly rule: DestinationRuleSpec | undefined;
  readonly port: number;
  readonly subset: string;
}

/**
 * A predicate for the endpoints of a cluster: what a rule says counts for all of them, otherwise the endpoint must have a
 * proxy and must not refuse mutual TLS by policy.
 */
export function createMtlsCheck(question: MtlsQuestion): (endpoint: Endpoint) => boolean {
  const mode = findRuleTlsMode(question);
  if (mode !== undefined) return () => mode === "ISTIO_MUTUAL";
  const { peerAuthentications, mesh } = question.snapshot;
  return ({ tlsMode, namespace, labels, port }) => {
    if (tlsMode !== "istio") return false;
    const modes = evaluateMtls(peerAuthentications, { namespace, labels, rootNamespace: mesh.rootNamespace });
    return modeOfPort(modes, port) !== "DISABLE";
  };
}

/** Of a subset that says nothing of TLS for the port, the rule's own policy counts; of one that is not there, none. */
function findRuleTlsMode({ rule, port, subset }: MtlsQuestion): string | undefined {
  const ofRule = findPortTlsMode(rule?.trafficPolicy, port);
  if (subset === "") return ofRule;
  const own = rule?.subsets?.find(({ name }) => name === subset);
  return own === undefined ? undefined : (findPortTlsMode(own.trafficPolicy, port) ?? ofRule);
}

function findPortTlsMode(policy: TrafficPolicy | undefined, port: number): string | undefined {
  const own = policy?.portLevelSettings?.find((setting) => setting.port?.number === port && setting.tls !== undefined);
  const tls = own?.tls ?? policy?.tls;
  return tls === undefined ? undefined : (tls.mode ?? "DISABLE");
}
