import { expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import type { ScopeKey } from "../scope.ts";
import { canListen, type PortRequest } from "./reserved-ports.ts";

const key = { privileged: false, ipFamilies: { v4: true, v6: false } } as ScopeKey;

it.each<[string, PortRequest, boolean]>([
  ["HTTP on a free port", { bind: undefined, port: 80, protocol: "HTTP", bindsToPort: false }, true],
  [
    "HTTP on the port of redirected traffic",
    { bind: undefined, port: 15001, protocol: "HTTP", bindsToPort: false },
    false,
  ],
  [
    "HTTP on the port of the proxy's metrics",
    { bind: undefined, port: 15090, protocol: "GRPC", bindsToPort: false },
    false,
  ],
  ["TCP at the address of a service", { bind: undefined, port: 15021, protocol: "TCP", bindsToPort: false }, true],
  ["TCP on all addresses", { bind: "0.0.0.0", port: 15021, protocol: "TCP", bindsToPort: false }, false],
  [
    "a low port without the right to bind it",
    { bind: "127.0.0.1", port: 80, protocol: "HTTP", bindsToPort: true },
    false,
  ],
  ["a high port that is bound", { bind: "127.0.0.1", port: 1024, protocol: "HTTP", bindsToPort: true }, true],
  ["a socket", { bind: "unix:///run/app", port: 0, protocol: "HTTP", bindsToPort: true }, true],
])("%s: %j", (_, request, expected) => {
  expect(canListen(key, request, defaultMeshConfig)).toBe(expected);
});
