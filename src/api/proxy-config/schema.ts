/** ProxyConfig (networking.istio.io): settings of proxies that are read when they start. */
import { type Static, Type } from "typebox";
import type { ApiObject } from "../object.ts";
import { type DeepReadonly, int32, map, optional, policySelector, record, text } from "../schema-fields.ts";

export const proxyConfigSchema = record({
  selector: optional(
    policySelector("Workloads of this namespace; all where not given, of the mesh in the root namespace."),
  ),
  concurrency: optional(int32("Worker threads; 0 is one for each core, 2 where not given.")),
  environmentVariables: optional(map(Type.String(), "Environment variables of the proxy's container.")),
  image: optional(
    record(
      { imageType: optional(text("default, debug, distroless, or another published one.")) },
      "The proxy's image.",
    ),
  ),
});

export type ProxyConfigSpec = DeepReadonly<Static<typeof proxyConfigSchema>>;
export type ProxyConfig = ApiObject<"ProxyConfig", ProxyConfigSpec>;
