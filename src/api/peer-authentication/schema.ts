/** PeerAuthentication (security.istio.io): whether workloads take mutual TLS, plain text or both. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { type DeepReadonly, map, oneOf, optional, policySelector, record } from "../schema-fields.ts";

export const mutualTlsSchema = record(
  {
    mode: optional(
      oneOf(
        ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"],
        "UNSET takes over what the wider policy says; PERMISSIVE takes both.",
      ),
    ),
  },
  "Mutual TLS.",
);

export const peerAuthenticationSchema = record({
  selector: optional(
    policySelector(
      "Workloads of this namespace that the policy is for; all where not given, of the mesh in the root namespace.",
    ),
  ),
  mtls: optional(mutualTlsSchema),
  portLevelMtls: optional(
    map(mutualTlsSchema, "Mutual TLS of single ports of the workload, by number; needs a selector."),
  ),
});

export type PeerAuthenticationSpec = DeepReadonly<Static<typeof peerAuthenticationSchema>>;
export type PeerAuthentication = ApiObject<"PeerAuthentication", PeerAuthenticationSpec>;
