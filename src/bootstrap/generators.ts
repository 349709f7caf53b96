import { inboundClusters } from "../translate/clusters/inbound.ts";
import { outboundClusters } from "../translate/clusters/outbound.ts";
import { loadAssignment, loadAssignmentNames, serviceOfLoadAssignment } from "../translate/endpoints/load-assignment.ts";
import type { Generators } from "../translate/generators.ts";
import { inboundListeners } from "../translate/listeners/inbound.ts";
import { outboundListeners } from "../translate/listeners/outbound.ts";
import { routeConfiguration, routeNames } from "../translate/routes/route-configuration.ts";
import { createScopeView } from "../translate/scopes/create-scope-view.ts";
import { createWorkloadView } from "../translate/scopes/create-workload-view.ts";
import { deriveKeys } from "../translate/scopes/derive-keys.ts";

/** The translation as the push side uses it. */
export const generators: Generators = {
  deriveKeys,
  createScopeView,
  createWorkloadView,
  outboundClusters,
  inboundClusters,
  outboundListeners,
  inboundListeners,
  routeConfiguration,
  routeNames,
  loadAssignment,
  loadAssignmentNames,
  serviceOfLoadAssignment,
};
