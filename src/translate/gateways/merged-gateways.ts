/** The merged Gateways of a scope, made once while the Gateways and the ports of their services stay the same. */
import type { Message } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { wildcardOf } from "../address.ts";
import type { ScopeView } from "../scope.ts";
import { type MergedGateways, type MergedListener, mergeServers } from "./merge-servers.ts";
import { derivePortMap, listHttp3Ports } from "./server-ports.ts";

const firstUnprivilegedPort = 1024;
const nothing: MergedGateways = { listeners: [], serversByRoute: new Map(), messages: [] };
const kept = createSlotMemo<MergedGateways>(64);

/** All Gateways of a view as one. Also ports that the proxy may not bind: see canBind. */
export function mergedGatewaysOf(view: ScopeView): MergedGateways {
  const { gateways } = view;
  const [owner] = gateways;
  if (owner === undefined) return nothing;
  const ports = derivePortMap(view);
  const defaultBind = wildcardOf(view.key);
  const http3Ports = listHttp3Ports(view);
  return kept({ owner, slot: JSON.stringify([defaultBind, [...ports], [...http3Ports]]) }, gateways, () =>
    mergeServers(gateways, { ports, defaultBind, http3Ports }),
  );
}

/** False for ports that need a privilege that the proxy does not have. */
export function canBind(view: ScopeView, listener: MergedListener): boolean {
  return view.key.privileged || listener.port >= firstUnprivilegedPort;
}

/** What is to be said of ports that the proxy may not bind. */
export function listPrivilegeMessages(view: ScopeView): readonly Message[] {
  return mergedGatewaysOf(view)
    .listeners.filter((listener) => !canBind(view, listener))
    .flatMap(({ port, servers }) =>
      servers.map(({ source }) => ({
        level: "warning" as const,
        code: "gateway-privileged-port",
        object: source.object,
        path: `${source.path}.port.number`,
        text: `the proxy may not bind port ${port}: ports under ${firstUnprivilegedPort} need a Service that maps them to a higher targetPort`,
      })),
    );
}
