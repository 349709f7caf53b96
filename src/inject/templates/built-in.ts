import { buildGatewayOverlay } from "./gateway.ts";
import { buildGrpcAgentOverlay } from "./grpc-agent.ts";
import { buildGrpcSimpleOverlay } from "./grpc-simple.ts";
import { buildSidecarOverlay } from "./sidecar.ts";
import type { Template } from "./template-data.ts";

/** Templates that are there without a ConfigMap, by the names that pods ask for. */
export const builtInTemplates: ReadonlyMap<string, Template> = new Map<string, Template>([
  ["sidecar", buildSidecarOverlay],
  ["gateway", buildGatewayOverlay],
  ["grpc-agent", buildGrpcAgentOverlay],
  ["grpc-simple", buildGrpcSimpleOverlay],
]);
