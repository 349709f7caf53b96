import { refOf } from "../api/object.ts";
import type { VirtualService } from "../api/virtual-service/schema.ts";
import { resolveShortHost } from "../lib/hostname.ts";
import { isVisibleFrom, parseExportTo } from "../model/export-to.ts";
import { mergeDelegate } from "./delegates.ts";
import { nameKey } from "./object-store.ts";
import { resolveGatewayName, resolveRouteHosts } from "./route-hosts.ts";
import type { ResolvedVirtualService } from "./snapshot.ts";

/** Istio: pkg/config/constants InternalRouteSemantics. */
export const routeSemanticsAnnotation = "internal.istio.io/route-semantics";

export interface VirtualServiceContext {
  readonly domain: string;
  /** MeshConfig.defaultVirtualServiceExportTo */
  readonly defaultExportTo: readonly string[];
}

/**
 * Makes virtual services ready for use: full names, gateways as "namespace/name", delegates merged in. Keeps what it made
 * for a virtual service as long as neither it nor one of its delegates changes.
 */
export class VirtualServiceResolver {
  readonly #domain: string;
  #known = new Map<string, { readonly inputs: readonly unknown[]; readonly resolved: ResolvedVirtualService }>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  /** `objects` are all virtual services in Istio's order; delegates (those without hosts) are not in the result. */
  resolve(objects: readonly VirtualService[], defaultExportTo: readonly string[]): readonly ResolvedVirtualService[] {
    const delegates = new Map(
      objects.flatMap((object) =>
        isDelegate(object) ? [[nameKey(object.meta.namespace, object.meta.name), object]] : [],
      ),
    );
    const context = { domain: this.#domain, defaultExportTo };
    const known = new Map<string, { readonly inputs: readonly unknown[]; readonly resolved: ResolvedVirtualService }>();
    const resolved = objects
      .filter((object) => !isDelegate(object))
      .map((object) => {
        const used = listDelegateKeys(object).map((key) => delegates.get(key));
        const inputs = [object, defaultExportTo.join(), ...used];
        const key = nameKey(object.meta.namespace, object.meta.name);
        const before = this.#known.get(key);
        const isSame =
          before?.inputs.length === inputs.length && before.inputs.every((input, i) => input === inputs[i]);
        const entry = isSame ? before : { inputs, resolved: resolveVirtualService(object, delegates, context) };
        known.set(key, entry);
        return entry.resolved;
      });
    this.#known = known;
    return resolved;
  }
}

/** True for a virtual service that only serves as a part of others. */
export function isDelegate(object: VirtualService): boolean {
  return (object.spec.hosts ?? []).length === 0;
}

/** Resolves one virtual service; `delegates` are by "namespace/name". */
function resolveVirtualService(
  object: VirtualService,
  delegates: ReadonlyMap<string, VirtualService>,
  context: VirtualServiceContext,
): ResolvedVirtualService {
  const { namespace } = object.meta;
  const own = resolveRouteHosts(object.spec, namespace, context.domain);
  const sources = [refOf(object)];
  // What stands for an Ingress or a route of the Gateway API knows no delegates.
  const isConverted = object.meta.annotations[routeSemanticsAnnotation] !== undefined;
  const http = own.http?.flatMap((route) => {
    if (route.delegate === undefined || isConverted) return [route];
    const delegate = delegates.get(delegateKey(route.delegate, namespace));
    if (delegate === undefined || !isVisibleDelegate(delegate, namespace, context.defaultExportTo)) return [];
    sources.push(refOf(delegate));
    return mergeDelegate(route, resolveRouteHosts(delegate.spec, delegate.meta.namespace, context.domain).http ?? []);
  });
  const hosts = (object.spec.hosts ?? []).map((host) => resolveShortHost(host, namespace, context.domain));
  const gateways = (object.spec.gateways ?? []).map((name) => resolveGatewayName(name, namespace));
  const effective = gateways.length === 0 ? ["mesh"] : gateways;
  return {
    object,
    spec: { ...own, hosts, gateways: effective, ...(http !== undefined && { http }) },
    hosts,
    gateways: effective,
    exportTo: parseExportTo(object.spec.exportTo ?? [], context.defaultExportTo),
    sources,
  };
}

/** Keys ("namespace/name") of the delegates that a virtual service names, in order. */
export function listDelegateKeys(object: VirtualService): readonly string[] {
  return (object.spec.http ?? []).flatMap((route) =>
    route.delegate === undefined ? [] : [delegateKey(route.delegate, object.meta.namespace)],
  );
}

function delegateKey(delegate: { readonly name?: string; readonly namespace?: string }, namespace: string): string {
  return nameKey(delegate.namespace || namespace, delegate.name ?? "");
}

/** True where virtual services of the namespace may use the delegate. */
export function isVisibleDelegate(
  delegate: VirtualService,
  namespace: string,
  defaultExportTo: readonly string[],
): boolean {
  const exportTo = parseExportTo(delegate.spec.exportTo ?? [], defaultExportTo);
  return isVisibleFrom(exportTo, delegate.meta.namespace, namespace);
}
