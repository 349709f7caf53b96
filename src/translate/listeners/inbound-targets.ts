/**
 * The ports on which a workload takes traffic: those of its services, or those that its Sidecar declares (Istio:
 * networking/core/listener_inbound.go, buildInboundChainConfigs).
 */
import { isIP } from "node:net";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { refOf } from "../../api/object.ts";
import type { IngressListener } from "../../api/sidecar/schema.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { type Protocol, parseProtocol } from "../../lib/protocol.ts";
import { type MtlsMode, type MtlsModes, modeOfPort } from "../../model/mtls.ts";
import { wildcardOf } from "../address.ts";
import type { PartSource } from "../built.ts";
import { expandStatName } from "../clusters/stat-name.ts";
import { buildInboundClusterName, inboundPassthroughCluster, virtualInboundListener } from "../names.ts";
import type { WorkloadView } from "../scope.ts";
import type { ServerTlsSettings } from "../security/downstream.ts";
import { type ListenPlace, wildcardPlace } from "./addresses.ts";
import { canListen } from "./reserved-ports.ts";

/** One port and everything that decides about its chains, as plain data. */
export interface InboundTarget {
  /** Port of the workload itself. */
  readonly port: number;
  /** Port of the service that clients call. */
  readonly servicePort: number;
  readonly protocol: Protocol;
  readonly mode: MtlsMode;
  readonly bind: string;
  /** More addresses of a listener of its own. */
  readonly additional: readonly string[];
  /** True for a listener of its own; otherwise redirected traffic comes by the one that takes it all. */
  readonly bindsToPort: boolean;
  /** What traces call the service. */
  readonly hostname: string;
  readonly cluster: string;
  /** Name of the statistics of TCP. */
  readonly statPrefix: string;
  /** TLS that ends here with a certificate of the application's own. */
  readonly tls?: ServerTlsSettings;
  /** The Sidecar that telemetry names. */
  readonly config?: ObjectRef;
  readonly sources: readonly PartSource[];
}

/** Targets sorted by port, one for each. */
export function listInboundTargets(view: WorkloadView, modes: MtlsModes): readonly InboundTarget[] {
  const { sidecar, key } = view.scope;
  const declared = sidecar?.spec.ingress ?? [];
  if (sidecar !== undefined && declared.length > 0) {
    const stated = declared.flatMap((listener, index) => deriveDeclaredTarget({ view, modes, listener, index }));
    if (!view.scope.snapshot.features.mergesServicePorts) return keepFirstOfPort(stated);
    // A declared port comes before that of a service, also where the proxy cannot listen there.
    const ports = new Set(declared.map(({ port }) => port.number));
    return keepFirstOfPort([...deriveServiceTargets(view, modes).filter(({ port }) => !ports.has(port)), ...stated]);
  }
  // The application itself listens on these ports: without redirection a listener there would be in its way.
  return key.interceptionMode === "NONE" ? [] : keepFirstOfPort(deriveServiceTargets(view, modes));
}

/** The target for traffic to ports that no service has. `port` is set where a policy speaks of that one. */
export function passthroughTarget(
  { inboundClusterStatName: pattern = "" }: Pick<MeshConfig, "inboundClusterStatName">,
  mode: MtlsMode,
  port: number,
): InboundTarget {
  const cluster = inboundPassthroughCluster;
  return {
    port,
    servicePort: 0,
    protocol: "Unsupported",
    mode,
    bind: "",
    additional: [],
    bindsToPort: false,
    hostname: "",
    cluster,
    statPrefix: formatPassthroughStats(pattern) || cluster,
    sources: [],
  };
}

function deriveServiceTargets(view: WorkloadView, modes: MtlsModes): readonly InboundTarget[] {
  const { key, snapshot } = view.scope;
  const bind = wildcardOf(key);
  const bindsToPort = key.interceptionMode === "NONE";
  const additional = snapshot.features.dualStack ? wildcardPlace(key).additional : [];
  const { inboundClusterStatName: pattern = "" } = snapshot.mesh;
  return view.targets.flatMap(({ target, service, portName, protocol }) => {
    const { targetPort: port } = target;
    if (!canListen(key, { bind, port, protocol, bindsToPort }, snapshot.mesh)) return [];
    const cluster = buildInboundClusterName(port);
    const parts = { service, port: { number: target.port, name: portName }, subset: "", targetPort: port };
    return [
      {
        port,
        servicePort: target.port,
        protocol,
        mode: modeOfPort(modes, port),
        bind,
        additional,
        bindsToPort,
        hostname: service.hostname,
        cluster,
        statPrefix: pattern === "" ? cluster : expandStatName(pattern, parts),
        sources: [{ object: service.object, path: "" }],
      },
    ];
  });
}

interface Declared {
  readonly view: WorkloadView;
  readonly modes: MtlsModes;
  readonly listener: IngressListener;
  /** Place in Sidecar.ingress. */
  readonly index: number;
}

function deriveDeclaredTarget({ view, modes, listener, index }: Declared): readonly InboundTarget[] {
  const { key, sidecar, snapshot } = view.scope;
  const port = listener.port.number ?? 0;
  const { bind, additional } = placeOf(view, listener.bind ?? "");
  const bindsToPort = bindsDeclared(listener, key.interceptionMode);
  const stated = parseProtocol(listener.port.protocol ?? "");
  // The proxy's own ports for redirected traffic do not count: a Sidecar may name them if it wants to.
  const request = { bind: listener.bind ?? "", port, protocol: stated, bindsToPort };
  if (sidecar === undefined || !canListen(key, request, undefined)) return [];
  const mode = modeOfPort(modes, port);
  const cluster = buildInboundClusterName(port);
  const config = refOf(sidecar);
  // Istio names a Sidecar of the root namespace as if it stood in the namespace of the workload.
  const named = { ...config, namespace: key.namespace };
  // There is no host behind a declared port; Istio makes a name up of the Sidecar's.
  const hostname = `${named.name}.${named.namespace}`;
  const { inboundClusterStatName: pattern = "" } = snapshot.mesh;
  const service = { registry: "External", hostname, name: hostname, namespace: named.namespace } as const;
  const parts = { service, port: { number: port, name: listener.port.name ?? "" }, subset: "", targetPort: port };
  // Where workloads take mutual TLS, the certificate of the mesh stands in the handshake and no other can.
  // PASSTHROUGH, the default, has nothing to end TLS with: the workload does that itself.
  const endsTls = mode === "DISABLE" && (listener.tls?.mode ?? "PASSTHROUGH") !== "PASSTHROUGH";
  const tls = endsTls ? listener.tls : undefined;
  return [
    {
      port,
      servicePort: port,
      protocol: tls === undefined ? stated : afterTls(stated),
      mode,
      bind,
      additional,
      bindsToPort,
      hostname,
      cluster,
      statPrefix: pattern === "" ? cluster : expandStatName(pattern, parts),
      ...(tls === undefined ? {} : { tls }),
      config: named,
      sources: [{ object: config, path: `spec.ingress[${index}]` }],
    },
  ];
}

function bindsDeclared({ captureMode = "DEFAULT" }: IngressListener, interceptionMode: string): boolean {
  return captureMode === "DEFAULT" ? interceptionMode === "NONE" : captureMode === "NONE";
}

function afterTls(protocol: Protocol): Protocol {
  if (protocol === "HTTPS") return "HTTP";
  return protocol === "TLS" ? "TCP" : protocol;
}

/** Where no address is stated, the workload's first that others can reach, otherwise all (Istio: getSidecarInboundBindIPs). */
function placeOf({ key, scope }: WorkloadView, stated: string): ListenPlace {
  const bind = stated === "" ? key.addresses.find(isGlobalUnicast) : stated;
  if (bind !== undefined) return { bind, additional: [] };
  const { additional } = wildcardPlace(scope.key);
  return { bind: wildcardOf(scope.key), additional: scope.snapshot.features.dualStack ? additional : [] };
}

/** Statistics of TCP by the pattern, of a port that no service has; Istio gives it the listener's name. */
function formatPassthroughStats(pattern: string): string {
  const service = { registry: "External", hostname: "", name: "", namespace: "" } as const;
  const port = { number: 0, name: virtualInboundListener };
  return pattern === "" ? "" : expandStatName(pattern, { service, port, subset: "", targetPort: 0 });
}

function isGlobalUnicast(address: string): boolean {
  const text = address.toLowerCase();
  if (isIP(text) === 4) {
    const [first = 0, second = 0] = text.split(".").map(Number);
    return first !== 127 && first !== 0 && first < 224 && !(first === 169 && second === 254);
  }
  return isIP(text) === 6 && !["::", "::1"].includes(text) && !/^(ff|fe[89ab])/.test(text);
}

/** Where services share a port the first counts: the oldest. */
function keepFirstOfPort(targets: readonly InboundTarget[]): readonly InboundTarget[] {
  const byPort = new Map<number, InboundTarget>();
  for (const target of targets) if (!byPort.has(target.port)) byPort.set(target.port, target);
  return [...byPort.values()].sort((a, b) => a.port - b.port);
}
