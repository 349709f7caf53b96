import type { Service, ServicePort } from "../../model/service.ts";
import { parseHostPort } from "../names.ts";
import type { ScopeView } from "../scope.ts";

/**
 * The service and port that a gRPC client means by "host:port". The host may be short, as in DNS: "reviews",
 * "reviews.bookinfo" or "reviews.bookinfo.svc" (Istio: grpcgen/lds.go tryFindFQDN).
 */
export function findRequestedPort(
  view: ScopeView,
  name: string,
): { readonly service: Service; readonly port: ServicePort } | undefined {
  const parsed = parseHostPort(name);
  if (parsed === undefined) return undefined;
  const service = listFullNames(view, parsed.hostname)
    .map((hostname) => view.findService(hostname))
    .find((found) => found !== undefined);
  const port = service?.ports.find(({ number }) => number === parsed.port);
  return service === undefined || port === undefined ? undefined : { service, port };
}

function listFullNames({ key, snapshot }: ScopeView, host: string): readonly string[] {
  const parts = host.split(".");
  const [name = "", namespace = key.namespace] = parts;
  const isShort = parts.length <= 2 || (parts.length === 3 && parts[2] === "svc");
  return isShort ? [host, `${name}.${namespace}.svc.${snapshot.domain}`] : [host];
}
