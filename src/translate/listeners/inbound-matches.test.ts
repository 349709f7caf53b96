import { expect, it } from "vitest";
import type { MtlsMode } from "../../model/mtls.ts";
import { listInboundMatches } from "./inbound-matches.ts";
import type { ListenerKind } from "./listener-conflicts.ts";

it.each<[MtlsMode, ListenerKind, readonly string[]]>([
  ["STRICT", "http", ["tls -> http, ended"]],
  ["STRICT", "tcp", ["tls -> tcp, ended"]],
  ["STRICT", "auto", ["tls istio-http/1.0,istio-http/1.1,istio-h2 -> http, ended", "tls -> tcp, ended"]],
  ["DISABLE", "http", ["raw_buffer -> http"]],
  ["DISABLE", "auto", ["raw_buffer http/1.1,h2c -> http", "raw_buffer -> tcp"]],
  [
    "PERMISSIVE",
    "http",
    ["tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 -> http, ended", "raw_buffer -> http"],
  ],
  [
    "PERMISSIVE",
    "tcp",
    [
      "tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 -> tcp, ended",
      "tls -> tcp",
      "raw_buffer -> tcp",
    ],
  ],
  [
    "PERMISSIVE",
    "auto",
    [
      "tls istio-http/1.0,istio-http/1.1,istio-h2 -> http, ended",
      "raw_buffer http/1.1,h2c -> http",
      "tls istio-peer-exchange,istio -> tcp, ended",
      "raw_buffer -> tcp",
      "tls -> tcp",
    ],
  ],
])("%s %s", (mode, kind, expected) => {
  const lines = listInboundMatches(mode, kind).map(({ transportProtocol, applicationProtocols, traffic, endsTls }) => {
    const names = applicationProtocols.length === 0 ? "" : ` ${applicationProtocols.join()}`;
    return `${transportProtocol}${names} -> ${traffic}${endsTls ? ", ended" : ""}`;
  });
  expect(lines).toEqual(expected);
});
