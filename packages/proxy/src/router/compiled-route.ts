/** A route with what the router itself needs. */
import type { HttpRequest } from "../http/message.ts";
import type { ForwardRules } from "./forward-rules.ts";
import type { HeaderMutation } from "./header-mutation.ts";
import type { RouteAnswer } from "./redirect.ts";
import type { Route } from "./types.ts";
import type { VirtualCluster } from "./virtual-clusters.ts";

export interface CompiledRoute extends Route {
  readonly rules: RouteRules;
}

export interface RouteRules {
  /** In the order in which they are done. */
  readonly requestMutations: readonly HeaderMutation[];
  readonly responseMutations: readonly HeaderMutation[];
  readonly host: VirtualHostRules;
  /** Set where the route answers itself. */
  readonly answer: RouteAnswer | undefined;
  /** Set where the route sends requests to a cluster. */
  readonly forward: ForwardRules | undefined;
}

export interface VirtualHostRules {
  readonly countsAttemptsInRequest: boolean;
  readonly countsAttemptsInResponse: boolean;
  readonly marksTimeoutRetries: boolean;
  readonly findVirtualCluster: ((request: HttpRequest) => VirtualCluster | undefined) | undefined;
}

/** True for routes of compileRouteTable, which are all that there are but in tests of filters. */
export function isCompiledRoute(route: Route): route is CompiledRoute {
  return "rules" in route;
}
