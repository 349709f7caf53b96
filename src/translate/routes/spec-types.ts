/** Parts of destination rules that routes read, named once. */
import type { DestinationRule } from "../../api/destination-rule/schema.ts";

export type TrafficPolicy = NonNullable<DestinationRule["spec"]["trafficPolicy"]>;
export type ConsistentHash = NonNullable<NonNullable<TrafficPolicy["loadBalancer"]>["consistentHash"]>;
