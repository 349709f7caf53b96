/**
 * Where the rules of a virtual service come from. Objects converted from Ingress or from the Gateway API say so in an
 * annotation, and their prefixes and rewrites mean something else than Istio's own.
 */
import { routeSemanticsAnnotation } from "../../snapshot/resolve-virtual-services.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";

export type RouteSemantics = "istio" | "ingress" | "gateway";

export function routeSemanticsOf(virtualService: ResolvedVirtualService): RouteSemantics {
  const semantics = virtualService.object.meta.annotations[routeSemanticsAnnotation];
  return semantics === "ingress" || semantics === "gateway" ? semantics : "istio";
}
