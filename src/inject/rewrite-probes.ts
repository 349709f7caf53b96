/**
 * Probes of applications are led through the agent (port 15020), because a kubelet has no certificate and its
 * connections would end at the proxy. The agent is told the original ones in ISTIO_KUBE_APP_PROBERS.
 */
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { compareText } from "../lib/text-order.ts";
import { container } from "./annotation-names.ts";
import { parseJson } from "./parse-json.ts";
import { changeContainer, findProxy, mapContainers, type PodDraft, setVariable } from "./pod-draft.ts";
import { defined, field, findNamed, isObject, listField, nameOf, objectField, textField } from "./pod-fields.ts";

export const probersVariable = "ISTIO_KUBE_APP_PROBERS";

interface ProbeKind {
  /** Where it stands in a container. */
  readonly path: readonly [string] | readonly ["lifecycle", string];
  readonly address: (containerName: string) => string;
  readonly hasTimeout: boolean;
}

const health = (end: string) => (name: string) => `/app-health/${name}/${end}`;
const lifecycle = (end: string) => (name: string) => `/app-lifecycle/${name}/${end}`;

const kinds: readonly ProbeKind[] = [
  { path: ["readinessProbe"], address: health("readyz"), hasTimeout: true },
  { path: ["livenessProbe"], address: health("livez"), hasTimeout: true },
  { path: ["startupProbe"], address: health("startupz"), hasTimeout: true },
  { path: ["lifecycle", "preStop"], address: lifecycle("prestopz"), hasTimeout: false },
  { path: ["lifecycle", "postStart"], address: lifecycle("poststartz"), hasTimeout: false },
];

/** Rewrites HTTP, TCP and gRPC probes and lifecycle handlers of all containers but the proxy's, and records them there. */
export function rewriteProbes(draft: PodDraft, statusPort: number): PodDraft {
  const recorded = new Map<string, PlainObject>();
  const rewritten = mapContainers(draft, (item) =>
    nameOf(item) === container.proxy ? item : rewriteContainer(item, statusPort, recorded),
  );
  if (recorded.size === 0) return rewritten;
  return changeContainer(rewritten, container.proxy, (proxy) =>
    setVariable(proxy, { name: probersVariable, value: formatProbers(recorded, findProxy(draft)) }),
  );
}

/** What an earlier injection recorded is the original; what is rewritten already was left out of `recorded`. */
function formatProbers(recorded: ReadonlyMap<string, PlainObject>, proxy: PlainObject | undefined): string {
  const existing = proxy && findNamed(listField(proxy, "env"), probersVariable);
  const known = existing === undefined ? undefined : parseJson(textField(existing, "value"));
  const all: PlainObject = { ...Object.fromEntries(recorded), ...(isObject(known) ? known : {}) };
  return JSON.stringify(Object.fromEntries(Object.entries(all).sort(([a], [b]) => compareText(a, b))));
}

function rewriteContainer(item: PlainObject, statusPort: number, recorded: Map<string, PlainObject>): PlainObject {
  let result = item;
  for (const kind of kinds) {
    const [outer, inner] = kind.path;
    const parent = inner === undefined ? item : objectField(item, outer);
    const probe = field(parent, inner ?? outer);
    if (!isObject(probe)) continue;
    const address = kind.address(nameOf(item));
    const original = describeProbe(probe, { kind, item, statusPort, address });
    if (original === undefined) continue;
    recorded.set(address, original);
    const replaced = redirect(probe, address, statusPort);
    result =
      inner === undefined
        ? { ...result, [outer]: replaced }
        : { ...result, [outer]: { ...objectField(result, outer), [inner]: replaced } };
  }
  return result;
}

interface Described {
  readonly kind: ProbeKind;
  readonly item: PlainObject;
  readonly statusPort: number;
  readonly address: string;
}

/** The probe as the agent carries it out; undefined where it is not one over the network, or is rewritten already. */
function describeProbe(probe: PlainObject, { kind, item, statusPort, address }: Described): PlainObject | undefined {
  const timeout = kind.hasTimeout ? { timeoutSeconds: field(probe, "timeoutSeconds") } : {};
  const [httpGet, tcpSocket, grpc] = ["httpGet", "tcpSocket", "grpc"].map((name) => field(probe, name));
  if (isObject(httpGet)) {
    if (field(httpGet, "port") === statusPort && field(httpGet, "path") === address) return undefined;
    const port = resolvePort(field(httpGet, "port"), item);
    return port === undefined ? undefined : defined({ httpGet: orderHttp({ ...httpGet, port }), ...timeout });
  }
  if (isObject(tcpSocket)) {
    const port = resolvePort(field(tcpSocket, "port"), item);
    return port === undefined ? undefined : defined({ tcpSocket: { ...tcpSocket, port }, ...timeout });
  }
  // A lifecycle handler cannot be one over gRPC.
  return isObject(grpc) && kind.hasTimeout ? defined({ grpc, ...timeout }) : undefined;
}

const httpFields = ["path", "port", "host", "scheme", "httpHeaders"];

const orderHttp = (action: PlainObject): PlainObject =>
  defined(Object.fromEntries(httpFields.map((name) => [name, field(action, name)])));

/** The number of a port; a name must be that of a port of the same container. A probe of any other name fails anyway. */
function resolvePort(port: PlainValue | undefined, item: PlainObject): number | undefined {
  if (typeof port === "number") return port;
  if (typeof port === "string" && /^\d{1,5}$/.test(port)) return Number(port);
  const named = listField(item, "ports").find((candidate) => nameOf(candidate) === port && port !== "");
  const number = named && field(named, "containerPort");
  return typeof number === "number" ? number : undefined;
}

/** The same probe, asked of the agent over plain HTTP. */
function redirect(probe: PlainObject, path: string, port: number): PlainObject {
  const { httpGet, tcpSocket, grpc, ...rest } = probe;
  const action = isObject(httpGet) ? httpGet : {};
  const scheme = field(action, "scheme") === "HTTPS" ? "HTTP" : field(action, "scheme");
  return { ...rest, httpGet: defined({ ...action, path, port, scheme }) };
}
