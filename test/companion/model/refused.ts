/** Pushes what a proxy must refuse, sees that it is refused by its name, and takes it back. */
import { encode, fromJson } from "@meltemi/protos";
import type { ResourceKind } from "./changes.ts";
import type { ModelControlPlane } from "./control-plane.ts";
import type { Random } from "./random.ts";
import type { Resources } from "./resource-builder.ts";

const limitMs = 60_000;
const struct = "type.googleapis.com/google.protobuf.Struct";

export interface Refusal {
  readonly controlPlane: ModelControlPlane;
  readonly random: Random;
  /** What is in use, and stays so. */
  readonly resources: Resources;
  /** Names of what the proxy asks for. */
  readonly used: readonly string[];
  readonly kind: ResourceKind;
  /** Whether the proxy's word must have the resource's name in it. */
  readonly isNamed: boolean;
}

/** What is wrong with how the proxy took it; undefined where nothing is. */
export async function pushRefused({
  controlPlane,
  random,
  resources,
  used,
  kind,
  isNamed,
}: Refusal): Promise<string | undefined> {
  const good = resources[kind];
  // Of kinds that a proxy takes as they come there may also be a new one.
  const isNew = (kind === "cds" || kind === "lds") && random.chance(40);
  const name = isNew ? `refused-${random.below(1_000_000)}` : random.pick(used);
  controlPlane.set(kind, new Map(good).set(name, build(kind, name)));
  controlPlane.push(kind);
  const rejection = await controlPlane.rejected(kind, limitMs);
  controlPlane.rejections.length = 0;
  controlPlane.set(kind, good);
  controlPlane.push(kind);
  const isBack = await controlPlane.settled(kind, used, limitMs);
  if (rejection === undefined) return `${kind} ${name} was not refused`;
  if (isNamed && !rejection.message.includes(name))
    return `${kind} ${name} was refused without its name: ${rejection.message}`;
  return isBack ? undefined : `${kind} ${name} was not taken again after its refusal`;
}

function build(kind: ResourceKind, name: string): Uint8Array {
  if (kind === "cds") {
    const json = { name, cluster_type: { name: "no.such.cluster", typed_config: { "@type": struct, value: {} } } };
    return encode("envoy.config.cluster.v3.Cluster", fromJson("envoy.config.cluster.v3.Cluster", json));
  }
  if (kind === "eds") {
    const address = { socket_address: { address: "not an address", port_value: 1 } };
    const type = "envoy.config.endpoint.v3.ClusterLoadAssignment";
    const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
    return encode(type, fromJson(type, { cluster_name: name, endpoints }));
  }
  if (kind === "lds") {
    const filters = [{ name: "no.such.filter", typed_config: { "@type": struct, value: {} } }];
    const address = { socket_address: { address: "127.0.0.1", port_value: 1 } };
    const json = { name, address, filter_chains: [{ filters }] };
    return encode("envoy.config.listener.v3.Listener", fromJson("envoy.config.listener.v3.Listener", json));
  }
  if (kind === "rds") {
    const routes = [{ match: { safe_regex: { regex: "(" } }, direct_response: { status: 200 } }];
    const type = "envoy.config.route.v3.RouteConfiguration";
    return encode(type, fromJson(type, { name, virtual_hosts: [{ name: "all", domains: ["*"], routes }] }));
  }
  const type = "envoy.extensions.transport_sockets.tls.v3.Secret";
  const text = { inline_string: "no certificate" };
  return encode(type, fromJson(type, { name, tls_certificate: { certificate_chain: text, private_key: text } }));
}
