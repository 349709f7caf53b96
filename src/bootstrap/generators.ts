import { inboundClusters } from "../translate/clusters/inbound.ts";
import { outboundClusters } from "../translate/clusters/outbound.ts";
import { buildNameTable } from "../translate/dns/name-table.ts";
import {
  loadAssignment,
  loadAssignmentNames,
  serviceOfLoadAssignment,
} from "../translate/endpoints/load-assignment.ts";
import { buildGatewayListeners } from "../translate/gateways/gateway-listeners.ts";
import { buildGatewayRoute, listGatewayRouteNames } from "../translate/gateways/gateway-route.ts";
import type { Generators } from "../translate/generators.ts";
import { grpcGenerators } from "../translate/grpc/generators.ts";
import { inboundListeners } from "../translate/listeners/inbound.ts";
import { outboundListeners } from "../translate/listeners/outbound.ts";
import { withPatches } from "../translate/patch/with-patches.ts";
import { routeConfiguration, routeNames } from "../translate/routes/route-configuration.ts";
import type { ScopeView } from "../translate/scope.ts";
import { listScopeMessages } from "../translate/scope-messages.ts";
import { createScopeView } from "../translate/scopes/create-scope-view.ts";
import { createWorkloadView } from "../translate/scopes/create-workload-view.ts";
import { deriveKeys } from "../translate/scopes/derive-keys.ts";

const isRouter = ({ key }: ScopeView): boolean => key.proxyType === "router";

/** The translation as the push side uses it; what EnvoyFilters patch is patched in the end. */
export const generators: Generators = withPatches({
  deriveKeys,
  createScopeView,
  createWorkloadView,
  outboundClusters,
  inboundClusters,
  outboundListeners: (view, key) => (isRouter(view) ? buildGatewayListeners(view, key) : outboundListeners(view, key)),
  inboundListeners: (view) => (isRouter(view.scope) ? [] : inboundListeners(view)),
  routeConfiguration: (view, name) => (isRouter(view) ? buildGatewayRoute(view, name) : routeConfiguration(view, name)),
  routeNames: (view) => (isRouter(view) ? listGatewayRouteNames(view) : routeNames(view)),
  loadAssignment,
  loadAssignmentNames,
  serviceOfLoadAssignment,
  // Those that EnvoyFilters add are found before.
  extensionConfig: () => undefined,
  nameTable: buildNameTable,
  messages: listScopeMessages,
  grpc: grpcGenerators,
});
