import { struct } from "@meltemi/protos";
import type { Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { ObjectRef } from "../../lib/message.ts";
import { formatConfigPath } from "../config-path.ts";

/** Metadata that names the networking object behind a route. */
export function configMetadata(ref: ObjectRef): Metadata {
  return { filter_metadata: { istio: struct({ config: formatConfigPath(ref) }) } };
}
