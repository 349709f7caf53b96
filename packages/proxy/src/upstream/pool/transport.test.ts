import { createSecureServer } from "node:http2";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { packAny, struct } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { TransportSocket } from "@meltemi/protos/envoy/config/core/v3";
import { beforeAll, expect, it } from "vitest";
import {
  closeAfterTest,
  createHost,
  createPoolRig,
  createRequest,
  listen,
  openPoolRig,
  readText,
  type TestServer,
  until,
} from "../../../test/support/pool-rig.ts";
import { createTestCertificates, type TestCertificates, withKeys } from "../../../test/support/tls-rig.ts";
import { ConfigError } from "../../lib/config-error.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { UpstreamError } from "../types.ts";
import { encodeProxyHeader } from "./proxy-protocol.ts";

let certificates: TestCertificates;

beforeAll(async () => {
  certificates = await createTestCertificates();
});

function tls(): TransportSocket {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
      sni: "a.test",
      common_tls_context: { validation_context: certificates.trust() },
    }),
  };
}

function options(
  message: Parameters<typeof packAny<"envoy.extensions.upstreams.http.v3.HttpProtocolOptions">>[1],
): Cluster {
  const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return { typed_extension_protocol_options: { [type]: packAny(type, message) } };
}

/** Says what it read, in one line, when nothing more comes. */
async function serveEcho(): Promise<TestServer> {
  const server = await listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      let read = "";
      socket.on("data", (chunk) => {
        read += chunk.toString("latin1");
      });
      socket.on("end", () => socket.end(`read ${read}`, "latin1"));
    }),
  );
  closeAfterTest(server);
  return server;
}

const downstream = {
  remoteAddress: { ip: "10.0.0.9", port: 1234 },
  localAddress: { ip: "10.0.0.1", port: 80 },
} as DownstreamConnection;

it("opens connections for bytes, half of which may end before the other", async () => {
  const server = await serveEcho();
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  const { stream, localAddress } = await pools.connect(host, {});
  expect(localAddress).toMatch(/^127\.0\.0\.1:\d+$/);
  let said = "";
  stream.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  stream.end("ping");
  await new Promise((resolve) => stream.once("close", resolve));
  expect(said).toBe("read ping");
  expect(pools.describeHost(host)).toMatchObject({ cx_total: 1, cx_active: 0, rq_total: 1, rq_active: 0 });
  expect([stats.read("upstream_cx_rx_bytes_total"), stats.read("upstream_cx_tx_bytes_total")]).toEqual([9, 4]);
});

it("refuses connections beyond the limit and frees their places", async () => {
  const server = await serveEcho();
  const { pools } = openPoolRig({}, { connections: 1 });
  const host = createHost(server.port);
  const first = await pools.connect(host, {});
  await expect(pools.connect(host, {})).rejects.toThrow("overflow");
  first.close();
  await new Promise((resolve) => first.stream.once("close", resolve));
  const second = await pools.connect(host, {});
  pools.drainHost(host, "close");
  await until(() => second.stream.destroyed);
});

it("ends a connection on its way when nobody wants it any more", async () => {
  const { pools } = openPoolRig();
  const controller = new AbortController();
  const pending = pools.connect(createHost(9, {}, "192.0.2.1"), { signal: controller.signal });
  controller.abort();
  await expect(pending).rejects.toThrow(UpstreamError);
});

it.each([
  ["V1", Buffer.from("PROXY TCP4 10.0.0.9 10.0.0.1 1234 80\r\n")],
  ["V2", Buffer.from("0d0a0d0a000d0a515549540a2111000c0a0000090a00000104d20050", "hex")],
] as const)("says who called by PROXY protocol %s", async (version, expected) => {
  const server = await serveEcho();
  const typed_config = packAny("envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", {
    config: { version },
    transport_socket: {
      name: "envoy.transport_sockets.raw_buffer",
      typed_config: packAny("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", {}),
    },
  });
  const { pools } = openPoolRig({
    transport_socket: { name: "envoy.transport_sockets.upstream_proxy_protocol", typed_config },
  });
  const { stream } = await pools.connect(createHost(server.port), { downstream });
  let said = "";
  stream.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
  });
  stream.end("hello");
  await new Promise((resolve) => stream.once("close", resolve));
  expect(said).toBe(`read ${expected.toString("latin1")}hello`);
});

it("writes addresses of version 6, and that it does not know", () => {
  const six = {
    remoteAddress: { ip: "2001:db8::1", port: 1 },
    localAddress: { ip: "::ffff:1.2.3.4", port: 2 },
  } as DownstreamConnection;
  expect(encodeProxyHeader("V1", six).toString()).toBe("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 2\r\n");
  expect(encodeProxyHeader("V2", six).toString("hex")).toBe(
    "0d0a0d0a000d0a515549540a21210024" +
      "20010db8000000000000000000000001" +
      "00000000000000000000ffff01020304" +
      "00010002",
  );
  expect(encodeProxyHeader("V1", undefined).toString()).toBe("PROXY UNKNOWN\r\n");
  expect(encodeProxyHeader("V2", undefined).length).toBe(16);
});

it("chooses the transport socket by the host's metadata", async () => {
  const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
  const plain = await listen(createServer((socket) => socket.on("data", () => socket.write(`${answer}no`))));
  const secure = await listen(
    createTlsServer(withKeys(certificates.server), (socket) => socket.on("data", () => socket.write(`${answer}ok`))),
  );
  closeAfterTest(plain);
  closeAfterTest(secure);
  const { pools, stats } = openPoolRig({
    transport_socket_matches: [
      { name: "istio", match: struct({ tlsMode: "istio" }), transport_socket: tls() },
      { name: "plain", match: struct({}), transport_socket: { name: "envoy.transport_sockets.raw_buffer" } },
    ],
  });
  const meshed = createHost(secure.port, { "envoy.transport_socket_match": { tlsMode: "istio" } });
  for (const [host, text] of [
    [meshed, "ok"],
    [createHost(plain.port), "no"],
  ] as const) {
    expect(await readText((await pools.send(host, createRequest(), "DEFAULT").response).body)).toBe(text);
  }
  expect(stats.read("ssl.handshake")).toBe(1);
  const failed = pools.send(createHost(plain.port, meshed.metadata), createRequest(), "DEFAULT").response;
  await expect(failed).rejects.toMatchObject({
    failure: "connection-failure",
    transportFailure: expect.stringContaining("WRONG_VERSION_NUMBER"),
  });
});

it("speaks what TLS agrees on, and by the name of the request", async () => {
  const names: unknown[] = [];
  const secure = createSecureServer({ ...withKeys(certificates.server), allowHTTP1: true }, (request, response) => {
    response.end(`HTTP/${request.httpVersion}`);
  });
  secure.on("secureConnection", (socket) => names.push(socket.servername));
  secure.on("session", (session) => session.on("error", () => undefined));
  const server = await listen(secure);
  closeAfterTest(server);
  const ask = async (cluster: Cluster, change = {}): Promise<string> => {
    const { pools } = openPoolRig({ ...cluster, transport_socket: tls() });
    return readText((await pools.send(createHost(server.port), createRequest(change), "DEFAULT").response).body);
  };
  expect(await ask(options({ auto_config: {} }))).toBe("HTTP/2.0");
  expect(await ask(options({ explicit_http_config: { http_protocol_options: {} } }))).toBe("HTTP/1.1");
  expect(
    await ask(options({ use_downstream_protocol_config: { http2_protocol_options: {} } }), {
      downstreamProtocol: "HTTP/2",
    }),
  ).toBe("HTTP/2.0");
  expect(await ask({}, { sni: "x.b.test", sans: ["x.b.test"] })).toBe("HTTP/1.1");
  expect(names).toEqual(["a.test", "a.test", "a.test", "x.b.test"]);
});

it("comes from the address that it is told", async () => {
  const seen: (string | undefined)[] = [];
  const server = await listen(createServer((socket) => void seen.push(socket.remoteAddress)));
  closeAfterTest(server);
  const { pools } = openPoolRig({ upstream_bind_config: { source_address: { address: "127.0.0.6", port_value: 0 } } });
  const { localAddress } = await pools.connect(createHost(server.port), {});
  expect(localAddress).toMatch(/^127\.0\.0\.6:/);
  await until(() => seen.length === 1);
  expect(seen).toEqual(["127.0.0.6"]);
});

it.each<[string, () => Cluster]>([
  ["HTTP/3", () => options({ explicit_http_config: { http3_protocol_options: {} } })],
  ["no protocol", () => options({})],
  [
    "filters of upstreams",
    () => options({ explicit_http_config: { http_protocol_options: {} }, http_filters: [{ name: "x" }] }),
  ],
  [
    "other options",
    () => ({
      typed_extension_protocol_options: {
        x: packAny("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", {}),
      },
    }),
  ],
  [
    "QUIC",
    () => ({
      transport_socket: {
        name: "quic",
        typed_config: packAny("envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport", {}),
      },
    }),
  ],
  ["socket options", () => ({ upstream_bind_config: { socket_options: [{ level: 1, name: 2, int_value: 3 }] } })],
])("refuses %s", (_, cluster) => {
  expect(() => createPoolRig(cluster())).toThrow(ConfigError);
});
