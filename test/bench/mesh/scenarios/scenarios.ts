import { churn } from "./churn.ts";
import { scopedEndpoints, scopedRoutes } from "./many-scopes.ts";
import type { Scenario } from "./scenario.ts";
import {
  destinationRuleChange,
  endpointChange,
  gatewayHosts,
  newService,
  virtualServiceChange,
} from "./single-changes.ts";
import { slowReaders } from "./slow-readers.ts";
import { connectStorm, reconnectStorm } from "./storms.ts";

/** In the order in which they run; what shares a server comes after what it must not disturb. */
export const scenarios: readonly Scenario[] = [
  connectStorm,
  endpointChange,
  virtualServiceChange,
  destinationRuleChange,
  newService,
  reconnectStorm,
  churn,
  slowReaders,
  scopedEndpoints,
  scopedRoutes,
  gatewayHosts,
];
