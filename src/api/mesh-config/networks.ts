/** MeshNetworks (istio.mesh.v1alpha1): which endpoints are in which network, and the gateways between networks. */
import type { Static } from "typebox";
import type { Message, ObjectRef } from "../../lib/message.ts";
import { compileSchema } from "../check-schema.ts";
import { createFindings, type Findings, formatPath, type Path } from "../findings.ts";
import { checkExactlyOne, checkPort, isAddress, isAddressOrSubnet, isDnsLabel, isDnsName } from "../rules.ts";
import { type DeepReadonly, list, map, optional, record, text, uint32 } from "../schema-fields.ts";
import { readYamlObject } from "./read-yaml.ts";

const networkEndpoints = record(
  {
    fromCidr: optional(text("Subnet whose addresses are in the network.")),
    fromRegistry: optional(text("Cluster whose endpoints are in the network.")),
  },
  "Endpoints, by exactly one of the fields.",
);

const networkGateway = record(
  {
    registryServiceName: optional(text("Full name of the gateway's service.")),
    address: optional(text("IP address or host name of the gateway.")),
    port: optional(uint32("Port of the gateway.")),
    locality: optional(text("Locality of the gateway.")),
  },
  "A gateway, by exactly one of service and address.",
);

export const meshNetworksSchema = record({
  networks: optional(
    map(
      record(
        {
          endpoints: optional(list(networkEndpoints, "Endpoints that are in the network.")),
          gateways: optional(list(networkGateway, "Gateways through which the network is reached.")),
        },
        "A network.",
      ),
      "Networks by name.",
    ),
  ),
});

export type MeshNetworks = DeepReadonly<Static<typeof meshNetworksSchema>>;
type Network = NonNullable<MeshNetworks["networks"]>[string];

const check = compileSchema(meshNetworksSchema, { unknownFields: "warning" });

export interface ParsedMeshNetworks {
  /** Absent where there are errors: the caller keeps what it had. */
  readonly networks?: MeshNetworks;
  readonly messages: readonly Message[];
}

/** Parses and checks key `meshNetworks` of the mesh's ConfigMap (ValidateMeshNetworks); `object` names that object. */
export function parseMeshNetworks(content: unknown, object: ObjectRef): ParsedMeshNetworks {
  const findings = createFindings();
  const plain = readYamlObject(content, findings);
  // The schema proves the type.
  const networks = (plain === undefined ? undefined : check.check(plain, { path: [], findings })) as
    | MeshNetworks
    | undefined;
  for (const [name, network] of Object.entries(networks?.networks ?? {})) {
    checkNetwork(network, ["networks", name], findings);
  }
  const messages = findings.all.map(
    ({ level, code, path, text: said }): Message => ({
      level,
      code,
      object,
      path: formatPath(["meshNetworks", ...path]),
      text: said,
    }),
  );
  const hasErrors = messages.some((message) => message.level === "error");
  return networks === undefined || hasErrors ? { messages } : { networks, messages };
}

function checkNetwork(network: Network, path: Path, findings: Findings): void {
  for (const [index, { fromCidr, fromRegistry }] of (network.endpoints ?? []).entries()) {
    const at = [...path, "endpoints", index];
    checkExactlyOne({ fromCidr, fromRegistry }, "may be none", { path: at, findings });
    if (fromCidr !== undefined && !isAddressOrSubnet(fromCidr)) {
      findings.error([...at, "fromCidr"], `"${fromCidr}" is not an IP address or subnet`, "address");
    }
    if (fromRegistry !== undefined && !isDnsLabel(fromRegistry)) {
      findings.error([...at, "fromRegistry"], `"${fromRegistry}" is not a name of a cluster`, "name");
    }
  }
  for (const [index, { registryServiceName, address, port }] of (network.gateways ?? []).entries()) {
    const at = [...path, "gateways", index];
    checkExactlyOne({ registryServiceName, address }, "may be none", { path: at, findings });
    if (registryServiceName !== undefined && !isDnsName(registryServiceName)) {
      findings.error([...at, "registryServiceName"], `"${registryServiceName}" is not a host name`, "host");
    }
    if (address !== undefined && !isAddress(address) && !isDnsName(address)) {
      findings.error([...at, "address"], `"${address}" is not an IP address or a host name`, "address");
    }
    checkPort(port, [...at, "port"], findings);
  }
}
