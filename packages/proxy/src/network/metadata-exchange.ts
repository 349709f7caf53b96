import { decode, encode, type Json, ProtoError, packAny, struct, structToJson, unpackAs } from "@meltemi/protos";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { DownstreamConnection } from "../listeners/connection.ts";
import { readStart } from "./read-start.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** Istio's message, which comes as a TypedStruct. */
interface MetadataExchange {
  readonly protocol?: string;
}

/** First of a frame: the magic number, then the length of what follows, both big-endian. */
const magic = 0x3d230467;
const headLength = 8;
/** What a peer may tell of itself; more is taken for something else. */
const maxFrameLength = 1_048_576;

const metadataKey = "x-envoy-peer-metadata";
const idKey = "x-envoy-peer-metadata-id";
/** What a proxy tells of its workload. */
const told = ["NAME", "NAMESPACE", "OWNER", "WORKLOAD_NAME", "CLUSTER_ID", "LABELS", "PLATFORM_METADATA"] as const;

/**
 * Istio's exchange of metadata between two proxies: where both agreed on the ALPN protocol "istio-peer-exchange", each
 * says who it is before anything else. On all other connections the filter sees and changes nothing.
 */
export const metadataExchangeFactory: NetworkFilterFactory<MetadataExchange> = {
  name: "istio.metadata_exchange",
  type: "envoy.tcp.metadataexchange.config.MetadataExchange",
  compile({ protocol = "istio-peer-exchange" }, { node }) {
    const own = buildFrame(node);
    return {
      admit(connection) {
        if (connection.tls === undefined || connection.tls.alpn !== protocol) return true;
        connection.stream.write(own);
        return readFrame(connection);
      },
    };
  },
};

/** Takes the frame of the peer off the stream; leaves what is none where it is. */
async function readFrame(connection: DownstreamConnection): Promise<boolean> {
  const body = await readStart(connection.stream, (bytes) => {
    if (bytes.length < 4) return "more";
    if (bytes.readUInt32BE(0) !== magic) return 0;
    if (bytes.length < headLength) return "more";
    const length = bytes.readUInt32BE(4);
    if (length > maxFrameLength) return 0;
    return bytes.length < headLength + length ? "more" : headLength + length;
  });
  if (body.length > 0) notePeer(connection, body.subarray(headLength));
  return true;
}

function notePeer({ filterState }: DownstreamConnection, bytes: Uint8Array): void {
  try {
    const content = unpackAs("google.protobuf.Struct", decode("google.protobuf.Any", bytes));
    const json = structToJson(content ?? {});
    filterState.set("downstream_peer", { text: JSON.stringify(json[metadataKey] ?? {}), value: json[metadataKey] });
    filterState.set("downstream_peer_id", { text: String(json[idKey] ?? "") });
  } catch (cause: unknown) {
    // Who it is stays unknown; its bytes are good all the same.
    if (!(cause instanceof ProtoError)) throw cause;
  }
}

function buildFrame(node: Node): Buffer {
  const metadata = structToJson(node.metadata ?? {});
  const entries = told.flatMap((key): [string, Json][] => {
    const value = metadata[key];
    return value === undefined ? [] : [[key, value]];
  });
  const content = struct({ [metadataKey]: Object.fromEntries(entries), [idKey]: node.id ?? "" });
  const body = encode("google.protobuf.Any", packAny("google.protobuf.Struct", content));
  const head = Buffer.alloc(headLength);
  head.writeUInt32BE(magic, 0);
  head.writeUInt32BE(body.length, 4);
  return Buffer.concat([head, body]);
}
