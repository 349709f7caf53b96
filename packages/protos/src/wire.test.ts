import { describe, expect, it } from "vitest";
import { packAny, typeUrl } from "./any.ts";
import { decode } from "./decode.ts";
import { encode } from "./encode.ts";
import {
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryResponse,
  frameDeltaResource,
  frameSotwResource,
} from "./wire.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";
const URL = typeUrl(CLUSTER);

describe("spliced responses", () => {
  const names = ["a", "b".repeat(300), ""];
  const messages = names.map((name) => encode(CLUSTER, { name }));

  it("equal a DiscoveryResponse encoded as a whole", () => {
    const frames = messages.map((message) => frameSotwResource(URL, message));
    const bytes = encodeDiscoveryResponse({ typeUrl: URL, version: "v1", nonce: "n", controlPlane: "me" }, frames);
    expect(decode("envoy.service.discovery.v3.DiscoveryResponse", bytes)).toEqual({
      version_info: "v1",
      type_url: URL,
      nonce: "n",
      control_plane: { identifier: "me" },
      resources: [packAny(CLUSTER, { name: "a" }), packAny(CLUSTER, { name: "b".repeat(300) }), { type_url: URL }],
    });
  });

  it("equal a DeltaDiscoveryResponse encoded as a whole", () => {
    const frames = messages
      .slice(0, 2)
      .map((message, index) =>
        frameDeltaResource({ name: names[index] ?? "", version: `v${index}`, typeUrl: URL, message }),
      );
    const bytes = encodeDeltaDiscoveryResponse(
      { typeUrl: URL, systemVersion: "s", nonce: "n", removedNames: ["x", "y"] },
      frames,
    );
    expect(decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", bytes)).toEqual({
      system_version_info: "s",
      type_url: URL,
      nonce: "n",
      removed_resources: ["x", "y"],
      resources: [
        { name: "a", version: "v0", resource: packAny(CLUSTER, { name: "a" }) },
        { name: "b".repeat(300), version: "v1", resource: packAny(CLUSTER, { name: "b".repeat(300) }) },
      ],
    });
  });
});
