import { ProtoError, typeNameOf, unpackAny } from "@meltemi/protos";
import type { ListenerFilter as WireFilter } from "@meltemi/protos/envoy/config/listener/v3";
import type { ProxyEnv } from "../../config/env.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { AcceptedSocket } from "../accepted-socket.ts";
import { compileFilterPredicate } from "./filter-predicate.ts";
import { compileHttpInspector } from "./http-inspector.ts";
import { done, type ListenerFilter } from "./listener-filter.ts";
import { compileListenerRateLimit } from "./local-ratelimit.ts";
import { compileOriginalDst } from "./original-dst.ts";
import { compileProxyProtocol } from "./proxy-protocol.ts";
import { compileTlsInspector } from "./tls-inspector.ts";

interface Kind {
  readonly name: string;
  readonly type: string;
  compile(config: Readonly<Record<string, unknown>>, env: ProxyEnv): ListenerFilter;
}

const prefix = "envoy.extensions.filters.listener";

/** All listener filters. What decoding gives is of the type that stands beside it. */
const kinds: readonly Kind[] = [
  {
    name: "envoy.filters.listener.tls_inspector",
    type: `${prefix}.tls_inspector.v3.TlsInspector`,
    compile: (config, { stats }) => compileTlsInspector(config, stats),
  },
  {
    name: "envoy.filters.listener.http_inspector",
    type: `${prefix}.http_inspector.v3.HttpInspector`,
    compile: (_config, { stats }) => compileHttpInspector(stats),
  },
  {
    name: "envoy.filters.listener.proxy_protocol",
    type: `${prefix}.proxy_protocol.v3.ProxyProtocol`,
    compile: (config, { stats }) => compileProxyProtocol(config, stats),
  },
  {
    name: "envoy.filters.listener.original_dst",
    type: `${prefix}.original_dst.v3.OriginalDst`,
    compile: () => compileOriginalDst(),
  },
  {
    name: "envoy.filters.listener.local_ratelimit",
    type: `${prefix}.local_ratelimit.v3.LocalRateLimit`,
    compile: compileListenerRateLimit,
  },
];

/** Compiles a filter with its `filter_disabled`. Throws ConfigError. */
export function compileListenerFilter(wire: WireFilter, env: ProxyEnv): ListenerFilter {
  if (wire.config_discovery !== undefined) {
    throw new ConfigError("config_discovery", "listener filters whose configuration comes by itself are not supported");
  }
  const filter = within("typed_config", () => compileConfigured(wire, env));
  const { filter_disabled: predicate } = wire;
  if (predicate === undefined) return filter;
  const isDisabled = within("filter_disabled", () => compileFilterPredicate(predicate));
  return {
    name: filter.name,
    accept: (accepted: AcceptedSocket) => (isDisabled(accepted) ? done : filter.accept(accepted)),
    inspect: (bytes, accepted) => filter.inspect(bytes, accepted),
  };
}

function compileConfigured({ name = "", typed_config: any }: WireFilter, env: ProxyEnv): ListenerFilter {
  const typeName = any === undefined ? "" : typeNameOf(any.type_url ?? "");
  const kind = kinds.find((each) => (any === undefined ? each.name === name : each.type === typeName));
  if (kind === undefined) throw new ConfigError("", refusalOf(name, typeName));
  try {
    return kind.compile(any === undefined ? {} : unpackAny(any).message, env);
  } catch (cause: unknown) {
    if (cause instanceof ProtoError) throw new ConfigError("", cause.message);
    throw cause;
  }
}

function refusalOf(name: string, typeName: string): string {
  if (typeName === `${prefix}.original_src.v3.OriginalSrc` || name === "envoy.filters.listener.original_src") {
    return "connections to upstreams cannot be made from the client's address: the listener filter original_src is not supported";
  }
  return `the listener filter ${name} (${typeName}) is not supported`;
}
