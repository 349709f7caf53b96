/**
 * AUTO_PASSTHROUGH: connections of the mesh's own mutual TLS that go to the service that the server name spells out
 * (Istio: core/gateway.go builtAutoPassthroughFilterChains).
 */
import { hostIsWithin } from "../../lib/hostname.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { buildDnsSrvClusterName } from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { type L4Target, planTarget } from "../tcp-routes/l4-target.ts";
import type { GatewayChainPlan } from "./gateway-chain.ts";
import type { MergedServer } from "./merge-servers.ts";

// Only what the mesh's proxies offer. With plain text endpoints left out of the clusters, nobody outside of the mesh
// comes through, although the gateway itself never opens a connection.
const meshProtocols = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** A chain for each port of each service behind the server, and for each subset of these. */
export function planAutoPassthrough(view: ScopeView, server: MergedServer): readonly GatewayChainPlan[] {
  return view.services
    .filter((service) => takesAutoPassthrough(service, server.serverNames))
    .flatMap((service) => {
      const rule = view.findDestinationRule(service);
      const subsets = ["", ...(rule?.spec.subsets ?? []).map(({ name }) => name)];
      const origins = [service.object, ...(rule?.sources ?? [])].map((object) => ({ object, path: "" }));
      return service.ports
        .filter(({ protocol }) => protocol !== "UDP")
        .flatMap((port) =>
          subsets.map((subset) => ({
            owner: service,
            match: {
              serverNames: [buildDnsSrvClusterName(service.hostname, port.number, subset)],
              applicationProtocols: meshProtocols,
            },
            content: {
              kind: "tcp" as const,
              protocol: port.protocol,
              target: planSubset(view, service, { port, subset }),
            },
            sources: [server.source, ...origins],
          })),
        );
    });
}

/** True where AUTO_PASSTHROUGH servers with these hosts forward to the service; ExternalName is outside of the mesh. */
function takesAutoPassthrough(service: Service, hosts: readonly string[]): boolean {
  if (service.meshExternal) return false;
  return hosts.some((host) => hostIsWithin(service.hostname, host));
}

/** As the rule has it for other clients, but no tunnel: what comes in is passed on as it is. */
function planSubset(
  view: ScopeView,
  service: Service,
  { port, subset }: { readonly port: ServicePort; readonly subset: string },
): L4Target {
  const name = buildDnsSrvClusterName(service.hostname, port.number, subset);
  const destination = { host: service.hostname, port: { number: port.number }, subset };
  const target = planTarget([{ destination }], service.object, { view, port: port.number });
  const isNamedByPattern = (view.snapshot.mesh.outboundClusterStatName ?? "") !== "";
  return {
    idleTimeout: target?.idleTimeout,
    maxConnectionDuration: target?.maxConnectionDuration,
    hashesSourceIp: target?.hashesSourceIp === true,
    tunnel: undefined,
    clusters: [{ name, weight: undefined }],
    statPrefix: isNamedByPattern ? (target?.statPrefix ?? name) : name,
  };
}
