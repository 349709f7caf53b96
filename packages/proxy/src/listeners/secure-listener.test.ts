/** Connections over TLS: what a sidecar sees of another one. */
import { connect, type TLSSocket } from "node:tls";
import { decode, encode, packAny, struct, structToJson, unpackAs } from "@meltemi/protos";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { createTestAuthority, type TestAuthority } from "../../../../test/support/test-authority.ts";
import { Closers } from "../lib/closers.ts";
import { createListenerManager } from "./listener-manager.ts";
import { createTestEnv, filterJson, listenerFrom, type TestEnv } from "./test-env.ts";

const closers = new Closers();
afterEach(() => closers.close());

type Json = Readonly<Record<string, unknown>>;
type Issued = Awaited<ReturnType<TestAuthority["issue"]>>;

const echo = filterJson("network.echo", "network.echo.v3.Echo");
const tlsInspector = filterJson("listener.tls_inspector", "listener.tls_inspector.v3.TlsInspector");
const exchange = {
  name: "istio.metadata_exchange",
  typed_config: {
    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
    type_url: "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
    value: { protocol: "istio-peer-exchange", enable_discovery: true },
  },
};

let authority: TestAuthority;
let server: Issued;
let client: Issued;
beforeAll(async () => {
  authority = await createTestAuthority("test");
  server = await authority.issue("spiffe://cluster.local/ns/a/sa/server");
  client = await authority.issue("spiffe://cluster.local/ns/a/sa/client");
});

function tlsJson(alpn_protocols: readonly string[]): Json {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      require_client_certificate: true,
      common_tls_context: {
        alpn_protocols,
        tls_certificates: [
          {
            certificate_chain: { inline_string: server.certificatePem },
            private_key: { inline_string: server.privateKeyPem },
          },
        ],
        validation_context: { trusted_ca: { inline_string: authority.rootPem } },
      },
    },
  };
}

async function start(env: TestEnv, chains: readonly Json[], filters: readonly Json[]): Promise<number> {
  const manager = createListenerManager(env);
  closers.push(() => manager.close());
  const wire = listenerFrom({
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    listener_filters: filters,
    filter_chains: chains,
  });
  await manager.update(wire, { isStatic: false, version: "1" });
  return manager.list()[0]?.addresses[0]?.port ?? 0;
}

interface Secure {
  readonly socket: TLSSocket;
  until(length: number): Promise<Buffer>;
  readonly closed: Promise<void>;
}

function open(port: number, alpn: readonly string[], withCertificate = true): Secure {
  const socket = connect({
    port,
    host: "127.0.0.1",
    servername: "outbound_.80_._.a",
    ALPNProtocols: [...alpn],
    rejectUnauthorized: false,
    ...(withCertificate && { cert: client.certificatePem, key: client.privateKeyPem }),
  });
  closers.push(() => socket.destroy());
  let bytes: Buffer = Buffer.alloc(0);
  let check = (): void => undefined;
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    check();
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return {
    socket,
    closed,
    until: (length) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (bytes.length >= length) resolve(bytes);
        };
        void closed.then(() => reject(new Error(`closed after ${bytes.length} bytes`)));
        check();
      }),
  };
}

const onlyClient: Json = filterJson("network.rbac", "network.rbac.v3.RBAC", {
  stat_prefix: "tcp.",
  rules: {
    policies: {
      p: {
        permissions: [{ requested_server_name: { prefix: "outbound_" } }],
        principals: [{ authenticated: { principal_name: { exact: "spiffe://cluster.local/ns/a/sa/client" } } }],
      },
    },
  },
});

describe("a listener with TLS", () => {
  it.each([[[]], [[tlsInspector]]])("knows who is there (%#)", async (filters) => {
    const env = createTestEnv();
    const port = await start(env, [{ transport_socket: tlsJson(["istio"]), filters: [onlyClient, echo] }], filters);
    const { socket, until } = open(port, ["istio"]);
    socket.write("hello");
    expect(String(await until(5))).toBe("hello");
    expect(socket.alpnProtocol).toBe("istio");
    expect(env.registry.counters().get("listener.127.0.0.1_0.ssl.handshake")).toBe(1);
  });

  it("closes connections without a certificate", async () => {
    const env = createTestEnv();
    const port = await start(env, [{ transport_socket: tlsJson([]), filters: [echo] }], [tlsInspector]);
    await open(port, [], false).closed;
    expect(env.registry.counters().get("listener.127.0.0.1_0.ssl.fail_verify_no_cert")).toBe(1);
  });

  it("passes TLS through where the chain has none, bytes as they came", async () => {
    const env = createTestEnv();
    const port = await start(
      env,
      [{ filter_chain_match: { server_names: ["outbound_.80_._.a"] }, filters: [echo] }],
      [tlsInspector],
    );
    const { socket, closed } = open(port, []);
    // The echo of a client hello is no answer of a server.
    const [error] = await new Promise<unknown[]>((resolve) => socket.once("error", (...all) => resolve(all)));
    expect(String(error)).toContain("SSL");
    await closed;
  });
});

describe("the exchange of metadata", () => {
  const frameOf = (metadata: Readonly<Record<string, string>>): Buffer => {
    const content = struct({ "x-envoy-peer-metadata": metadata, "x-envoy-peer-metadata-id": "peer" });
    const body = encode("google.protobuf.Any", packAny("google.protobuf.Struct", content));
    const head = Buffer.alloc(8);
    head.writeUInt32BE(0x3d230467, 0);
    head.writeUInt32BE(body.length, 4);
    return Buffer.concat([head, body]);
  };
  const chain = () => [{ transport_socket: tlsJson(["istio-peer-exchange", "istio"]), filters: [exchange, echo] }];

  it("takes the peer's frame and sends its own before anything else", async () => {
    const env = createTestEnv({ node: { id: "me", metadata: struct({ NAMESPACE: "a", OTHER: "x" }) } });
    const { socket, until } = open(await start(env, chain(), [tlsInspector]), ["istio-peer-exchange", "istio"]);
    const frame = frameOf({ NAMESPACE: "b" });
    socket.write(frame.subarray(0, 5));
    socket.write(frame.subarray(5));
    socket.write("hello");
    const head = (await until(8)).subarray(0, 8);
    expect(head.readUInt32BE(0)).toBe(0x3d230467);
    const length = head.readUInt32BE(4);
    const all = await until(8 + length + 5);
    expect(all.toString("latin1", 8 + length)).toBe("hello");
    const content = unpackAs("google.protobuf.Struct", decode("google.protobuf.Any", all.subarray(8, 8 + length)));
    expect(structToJson(content ?? {})).toEqual({
      "x-envoy-peer-metadata": { NAMESPACE: "a" },
      "x-envoy-peer-metadata-id": "me",
    });
  });

  it("touches nothing where it was not agreed on", async () => {
    const { socket, until } = open(await start(createTestEnv(), chain(), [tlsInspector]), ["istio"]);
    socket.write("hello");
    expect(String(await until(5))).toBe("hello");
  });
});
