import type { TlsInspector } from "@meltemi/protos/envoy/extensions/filters/listener/tls_inspector/v3";
import { ConfigError } from "../../lib/config-error.ts";
import type { Stats } from "../../lib/stats.ts";
import type { AcceptedSocket } from "../accepted-socket.ts";
import { parseClientHello } from "./client-hello.ts";
import { done, type ListenerFilter, more, type Verdict } from "./listener-filter.ts";

/** Envoy's own limit for a client hello. */
const maxHelloLength = 16_384;

/** Finds TLS, its server name and the protocols that the client offers. */
export function compileTlsInspector(config: TlsInspector, stats: Stats): ListenerFilter {
  if (config.enable_ja3_fingerprinting?.value === true) {
    throw new ConfigError("enable_ja3_fingerprinting", "fingerprints of clients are not supported");
  }
  const scope = stats.scope("tls_inspector");
  const counters = {
    tooLarge: scope.counter("client_hello_too_large"),
    tls: scope.counter("tls_found"),
    noTls: scope.counter("tls_not_found"),
    alpn: scope.counter("alpn_found"),
    noAlpn: scope.counter("alpn_not_found"),
    sni: scope.counter("sni_found"),
    noSni: scope.counter("sni_not_found"),
  };
  return {
    name: "envoy.filters.listener.tls_inspector",
    accept: () => undefined,
    inspect(bytes: Buffer, accepted: AcceptedSocket): Verdict {
      const hello = parseClientHello(bytes.length > maxHelloLength ? bytes.subarray(0, maxHelloLength) : bytes);
      if (hello.kind === "more") {
        if (bytes.length < maxHelloLength) return more;
        counters.tooLarge.inc();
        return { kind: "close", reason: "client_hello_too_large" };
      }
      if (hello.kind === "not-tls") {
        counters.noTls.inc();
        return done;
      }
      counters.tls.inc();
      (hello.sni === "" ? counters.noSni : counters.sni).inc();
      (hello.alpn.length === 0 ? counters.noAlpn : counters.alpn).inc();
      accepted.transportProtocol = "tls";
      accepted.sni = hello.sni;
      if (hello.alpn.length > 0) accepted.applicationProtocols = hello.alpn;
      return done;
    },
  };
}
