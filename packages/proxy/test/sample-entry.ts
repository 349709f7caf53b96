/** What a log is told of one request, for tests: a GET that an upstream answered with 200 after 27 ms. */
import { Duplex } from "node:stream";
import type { LogEntry } from "../src/access-log/types.ts";
import { HeaderList } from "../src/http/header-list.ts";
import { StreamInfo } from "../src/http/stream-info.ts";
import type { DownstreamConnection, TlsInfo } from "../src/listeners/connection.ts";
import type { Host } from "../src/upstream/types.ts";

/** 2026-11-21T17:29:35.260Z. */
export const sampleTime = 1_795_282_175_260;

export function sampleConnection(tls?: TlsInfo): DownstreamConnection {
  const connection = {
    id: 7,
    stream: new Duplex(),
    localAddress: { ip: "127.0.0.1", port: 19902 },
    remoteAddress: { ip: "::1", port: 1234 },
    directRemoteAddress: { ip: "10.0.0.9", port: 4321 },
    sni: "a.example",
    applicationProtocols: [],
    tls,
    filterState: new Map(),
    isDraining: false,
    onDrain: () => undefined,
    onClose: () => undefined,
    close: () => undefined,
  };
  const whole: DownstreamConnection = Object.assign(connection, {
    // The connection is not whole yet, but StreamInfo only keeps it.
    info: new StreamInfo(connection as unknown as DownstreamConnection, sampleTime - 500, 500),
  });
  return whole;
}

export const sampleHost: Host = {
  address: "127.0.0.1:19903",
  ip: "127.0.0.1",
  port: 19903,
  hostname: "up.example",
  locality: { region: "r", zone: "z", sub_zone: "" },
  priority: 0,
  weight: 1,
  endpoint: {},
  metadata: { "envoy.lb": { version: "v1" } },
  health: "healthy",
  activeRequests: 0,
};

export function sampleEntry(tls?: TlsInfo): LogEntry {
  const info = new StreamInfo(sampleConnection(tls), sampleTime, 1000);
  Object.assign(info, {
    protocol: "HTTP/1.1",
    requestReceivedAt: 1000.5,
    upstreamRequestSentAt: 1002,
    upstreamResponseAt: 1026.9,
    upstreamResponseEndAt: 1027,
    responseStartedAt: 1027,
    endedAt: 1027.5,
    bytesSent: 9,
    upstreamBytesSent: 211,
    upstreamBytesReceived: 143,
    responseCode: 200,
    responseCodeDetails: "via_upstream",
    routeName: "r",
    clusterName: "a.b",
    upstreamHost: sampleHost,
    upstreamLocalAddress: "[::1]:34230",
    upstreamProtocol: "HTTP/1.1",
    attempts: 1,
    requestId: "e98179b5-9ae3-43a2-b0f4-6748311ea615",
  });
  info.dynamicMetadata.set("ns", { user: "joe", deep: { n: 1 } });
  info.filterState.set("fs", { text: "plain", value: { a: 1 } });
  return {
    info,
    request: {
      method: "GET",
      scheme: "http",
      authority: "a.example:80",
      path: "/foo?q=a%20b",
      headers: new HeaderList([
        "x-a",
        "zzzzzz",
        "user-agent",
        "curl/7",
        "x-request-id",
        "e98179b5-9ae3-43a2-b0f4-6748311ea615",
      ]),
      body: undefined,
      protocol: "HTTP/1.1",
      upgrade: undefined,
    },
    responseHeaders: new HeaderList(["x-envoy-upstream-service-time", "26"]),
    routeMetadata: { r: { k: true } },
  };
}
