/**
 * Configuration of proxyless gRPC (metadata GENERATOR=grpc): clients and servers that read xDS themselves and ask for
 * each resource by name (Istio: networking/grpcgen, rows X70-X74). Undefined: there is no such resource.
 */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { Built } from "../built.ts";
import type { ScopeView, WorkloadView } from "../scope.ts";
import { buildGrpcCluster, buildGrpcLoadAssignment } from "./cluster.ts";
import { buildClientListener, buildServerListener } from "./listener.ts";
import { buildGrpcRoute } from "./route.ts";

export interface GrpcGenerators {
  /** "host:port"; the host may be short ("reviews", "reviews.bookinfo"). */
  listener(view: ScopeView, name: string): Built<Listener> | undefined;
  /** "xds.istio.io/grpc/lds/inbound/<ip>:<port>". */
  serverListener(view: WorkloadView, name: string): Built<Listener> | undefined;
  /** "outbound|port||host", as listeners ask for it. */
  route(view: ScopeView, name: string): Built<RouteConfiguration> | undefined;
  /** "outbound|port|subset|host". */
  cluster(view: ScopeView, name: string): Built<Cluster> | undefined;
  /** By cluster name. */
  loadAssignment(view: ScopeView, name: string): Built<ClusterLoadAssignment> | undefined;
}

export const grpcGenerators: GrpcGenerators = {
  listener: buildClientListener,
  serverListener: buildServerListener,
  route: buildGrpcRoute,
  cluster: buildGrpcCluster,
  loadAssignment: buildGrpcLoadAssignment,
};
