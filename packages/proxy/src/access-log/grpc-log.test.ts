import { decode, packAny } from "@meltemi/protos";
import { expect, it } from "vitest";
import { sampleEntry, sampleHost } from "../../test/sample-entry.ts";
import { collect } from "../http/body.ts";
import { HeaderList } from "../http/header-list.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import type { UpstreamCluster } from "../upstream/types.ts";
import { createAccessLogFactory } from "./factory.ts";

const frameHead = 5;

function createRig(grpcStatus: string) {
  const bodies: Buffer[] = [];
  const stats = createStatsRegistry();
  const cluster: Pick<UpstreamCluster, "chooseHost" | "send"> = {
    chooseHost: () => sampleHost,
    send: (_, request) => ({
      response: (async () => {
        expect(request.path).toBe("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs");
        const collected = request.body && (await collect(request.body, 1e6));
        bodies.push(Buffer.from(collected?.bytes ?? []));
        const headers = new HeaderList(["grpc-status", grpcStatus]);
        return { status: 200, headers, body: undefined, protocol: "HTTP/2" };
      })(),
      cancel: () => undefined,
    }),
  };
  const timer = { close: () => undefined };
  const factory = createAccessLogFactory({
    clock: { now: () => 0, monotonic: () => 0, after: () => timer, every: () => timer },
    log: silentLog,
    stats,
    runtime: { number: (_, fallback) => fallback, flag: () => false, isChosen: () => true, entries: () => new Map() },
    random: () => 0,
    clusters: { find: () => cluster as UpstreamCluster, list: () => [] },
    node: { id: "n1" },
  });
  return { bodies, stats, factory };
}

const common_config = {
  log_name: "mine",
  grpc_service: { envoy_grpc: { cluster_name: "als" } },
  custom_tags: [{ tag: "lit", literal: { value: "l" } }],
};

it("sends entries of requests and connections to a service", async () => {
  const { bodies, stats, factory } = createRig("0");
  const http = packAny("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", {
    common_config,
    additional_request_headers_to_log: ["X-A", "x-none"],
  });
  const tcp = packAny("envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", { common_config });
  const logger = factory.compile([{ typed_config: http }, { typed_config: tcp }]);
  const entry = sampleEntry();
  entry.info.responseFlags.add("UF").add("UAEX");
  logger.log(entry);
  expect(bodies).toEqual([]);
  logger.close();
  await expect.poll(() => bodies.length).toBe(2);
  const messages = bodies.map((body) =>
    decode("envoy.service.accesslog.v3.StreamAccessLogsMessage", body.subarray(frameHead)),
  );
  expect(messages[0]).toMatchObject({
    identifier: { node: { id: "n1" }, log_name: "mine" },
    http_logs: {
      log_entry: [
        {
          protocol_version: "HTTP11",
          common_properties: {
            downstream_remote_address: { socket_address: { address: "::1", port_value: 1234 } },
            upstream_cluster: "a.b",
            response_flags: { upstream_connection_failure: true, unauthorized_details: { reason: "EXTERNAL_SERVICE" } },
            custom_tags: { lit: "l" },
            access_log_type: "DownstreamEnd",
          },
          request: { request_method: "GET", path: "/foo?q=a%20b", request_headers: { "x-a": "zzzzzz" } },
          response: { response_code: { value: 200 }, response_code_details: "via_upstream" },
        },
      ],
    },
  });
  expect(messages[1]).toMatchObject({ tcp_logs: { log_entry: [{ connection_properties: { sent_bytes: 9 } }] } });
  await expect.poll(() => stats.counters().get("access_logs.grpc_access_log.logs_written")).toBe(2);
  await factory.close();
});

it("drops what a service does not take, and refuses what it cannot send", async () => {
  const { stats, factory } = createRig("14");
  const type = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig";
  const logger = factory.compile([{ typed_config: packAny(type, { common_config }) }]);
  logger.log(sampleEntry());
  logger.close();
  await expect.poll(() => stats.counters().get("access_logs.grpc_access_log.logs_dropped")).toBe(1);
  expect(() => factory.compile([{ typed_config: packAny(type, {}) }])).toThrow(
    "typed_config.common_config: is required",
  );
  const more = { ...common_config, filter_state_objects_to_log: ["x"] };
  expect(() => factory.compile([{ typed_config: packAny(type, { common_config: more }) }])).toThrow(
    "common_config.filter_state_objects_to_log: is not supported",
  );
  await factory.close();
});
