/**
 * The application's own probes, which the injector took out of the pod and put into ISTIO_KUBE_APP_PROBERS: by the path at
 * which the kubelet asks the agent instead. Ports are numbers; the injector resolves names.
 */
import { isJsonObject, type JsonObject, readObject, readText } from "../config/json.ts";
import { ConfigError } from "../config/proxy-config.ts";

export type AppProber =
  | {
      readonly kind: "http";
      readonly port: number;
      readonly path: string;
      readonly isTls: boolean;
      readonly timeoutMs: number;
    }
  | { readonly kind: "tcp"; readonly port: number; readonly timeoutMs: number }
  | { readonly kind: "grpc"; readonly port: number; readonly service: string; readonly timeoutMs: number };

export type AppProbers = ReadonlyMap<string, AppProber>;

const pathPattern = /^\/(app-health|app-lifecycle)\/[^/]+\/(livez|readyz|startupz|prestopz|poststartz)$/;
/** Kubernetes' default of timeoutSeconds. */
const defaultTimeoutSeconds = 1;

/** "" is none. Throws ConfigError where the text is not what an injector writes. */
export function parseAppProbers(text: string): AppProbers {
  if (text === "") return new Map();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause: unknown) {
    throw new ConfigError("ISTIO_KUBE_APP_PROBERS is no JSON", { cause });
  }
  if (!isJsonObject(value)) throw new ConfigError("ISTIO_KUBE_APP_PROBERS is no object");
  return new Map(Object.entries(value).map(([path, prober]) => [path, parseProber(path, prober)]));
}

function parseProber(path: string, value: unknown): AppProber {
  if (!pathPattern.test(path)) throw new ConfigError(`ISTIO_KUBE_APP_PROBERS: ${path} is not the path of a probe`);
  const prober = isJsonObject(value) ? value : {};
  const http = readObject(prober, "httpGet");
  const tcp = readObject(prober, "tcpSocket");
  const grpc = readObject(prober, "grpc");
  const given = [http, tcp, grpc].filter((action) => action !== undefined);
  if (given.length !== 1)
    throw new ConfigError(`ISTIO_KUBE_APP_PROBERS: ${path} needs one of httpGet, tcpSocket, grpc`);
  const timeoutMs = findTimeout(path, Number(prober["timeoutSeconds"] ?? 0));
  if (http !== undefined) return { ...parseHttp(path, http), timeoutMs };
  if (tcp !== undefined) return { kind: "tcp", port: readPort(path, tcp), timeoutMs };
  return { kind: "grpc", port: readPort(path, grpc ?? {}), service: readText(grpc, "service") ?? "", timeoutMs };
}

/** Hooks of the container's life have no limit of their own: the kubelet ends them with the pod. */
function findTimeout(path: string, seconds: number): number {
  if (seconds > 0) return seconds * 1000;
  return path.startsWith("/app-lifecycle/") ? Number.POSITIVE_INFINITY : defaultTimeoutSeconds * 1000;
}

function parseHttp(path: string, http: JsonObject): Omit<Extract<AppProber, { kind: "http" }>, "timeoutMs"> {
  const target = readText(http, "path") ?? "";
  return {
    kind: "http",
    port: readPort(path, http),
    path: target.startsWith("/") ? target : `/${target}`,
    isTls: http["scheme"] === "HTTPS",
  };
}

function readPort(path: string, action: JsonObject): number {
  const port = action["port"];
  if (typeof port === "number" && Number.isInteger(port) && port > 0 && port <= 65_535) return port;
  throw new ConfigError(`ISTIO_KUBE_APP_PROBERS: the port of ${path} must be a number`);
}
