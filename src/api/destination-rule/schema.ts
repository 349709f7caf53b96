/** DestinationRule (networking.istio.io): policies for traffic to a service, after routing chose it. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { type DeepReadonly, exportTo, labels, list, name, optional, policySelector, record } from "../schema-fields.ts";
import type { loadBalancerSchema, localityLbSettingSchema, zoneAwareLbSettingSchema } from "./load-balancer.ts";
import {
  type clientTlsSchema,
  type connectionPoolSchema,
  type outlierDetectionSchema,
  type tcpKeepaliveSchema,
  trafficPolicySchema,
} from "./traffic-policy.ts";

export const subsetSchema = record(
  {
    name: name("Name of the subset, used in routes."),
    labels: optional(labels("Labels of the endpoints that are in the subset.")),
    trafficPolicy: optional(trafficPolicySchema),
  },
  "A named part of the endpoints, such as one version.",
);

export const destinationRuleSchema = record({
  host: name("Name of a service in the registry; a name without dots is a service of this object's namespace."),
  trafficPolicy: optional(trafficPolicySchema),
  subsets: optional(list(subsetSchema, "Named parts of the endpoints.")),
  exportTo,
  workloadSelector: optional(
    policySelector("Workloads of this namespace for whose calls the rule counts; all where not given."),
  ),
});

export type DestinationRuleSpec = DeepReadonly<Static<typeof destinationRuleSchema>>;
export type DestinationRule = ApiObject<"DestinationRule", DestinationRuleSpec>;

export type TrafficPolicy = DeepReadonly<Static<typeof trafficPolicySchema>>;
export type PortTrafficPolicy = NonNullable<TrafficPolicy["portLevelSettings"]>[number];
export type LoadBalancer = DeepReadonly<Static<typeof loadBalancerSchema>>;
export type ConsistentHash = NonNullable<LoadBalancer["consistentHash"]>;
export type LocalityLbSetting = DeepReadonly<Static<typeof localityLbSettingSchema>>;
export type ZoneAwareLbSetting = DeepReadonly<Static<typeof zoneAwareLbSettingSchema>>;
export type ConnectionPool = DeepReadonly<Static<typeof connectionPoolSchema>>;
export type OutlierDetection = DeepReadonly<Static<typeof outlierDetectionSchema>>;
export type ClientTls = DeepReadonly<Static<typeof clientTlsSchema>>;
export type TcpKeepalive = DeepReadonly<Static<typeof tcpKeepaliveSchema>>;
