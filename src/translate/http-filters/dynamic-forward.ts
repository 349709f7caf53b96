/** Looks up the hosts of requests that go to whatever host they name (Istio: row C39). */
import { buildForwardFilter } from "../dns/dynamic-forward.ts";
import type { HttpFilterStage } from "./http-filter-context.ts";

/** One filter for each cache: each leaves alone what goes to other clusters. */
export const dynamicForward: HttpFilterStage = ({ dnsCaches }) => dnsCaches.map(buildForwardFilter);
