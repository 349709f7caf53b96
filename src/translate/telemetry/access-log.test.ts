import { unpackAny } from "@meltemi/protos";
import type { AccessLog } from "@meltemi/protos/envoy/config/accesslog/v3";
import { describe, expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { buildHttpAccessLogs, buildListenerAccessLogs, buildTcpAccessLogs } from "./access-log.ts";

const mesh = (fields: Partial<MeshConfig>): MeshConfig => ({
  ...defaultMeshConfig,
  accessLogFile: "/dev/stdout",
  ...fields,
});

function formatOf([log]: readonly AccessLog[]): string {
  if (log?.typed_config === undefined) throw new Error("no log");
  return JSON.stringify(unpackAny(log.typed_config).message["log_format"]);
}

describe("buildHttpAccessLogs", () => {
  it("is off where the mesh names no file", () => {
    expect(buildHttpAccessLogs(defaultMeshConfig)).toEqual([]);
    expect(buildListenerAccessLogs(defaultMeshConfig)).toEqual([]);
  });

  it("writes Istio's line, ended by one line end", () => {
    expect(formatOf(buildHttpAccessLogs(mesh({})))).toMatch(
      /^\{"text_format_source":\{"inline_string":"\[%START_TIME%\] .*%ROUTE_NAME%\\n"\}\}$/,
    );
  });

  it.each([
    ["%PROTOCOL%", "%PROTOCOL%\\\\n"],
    ["%PROTOCOL%\n", "%PROTOCOL%\\\\n"],
  ])("ends an own line: %j", (accessLogFormat, expected) => {
    expect(formatOf(buildHttpAccessLogs(mesh({ accessLogFormat })))).toMatch(new RegExp(`"${expected}"`));
  });

  it("writes own members as JSON, and Istio's where the format is no object", () => {
    const own = formatOf(
      buildHttpAccessLogs(mesh({ accessLogEncoding: "JSON", accessLogFormat: '{"p": "%PROTOCOL%"}' })),
    );
    expect(own).toContain('"p":{"string_value":"%PROTOCOL%"}');
    expect(own).not.toContain("start_time");
    const broken = formatOf(buildHttpAccessLogs(mesh({ accessLogEncoding: "JSON", accessLogFormat: "{" })));
    expect(broken).toContain('"start_time":{"string_value":"%START_TIME%"}');
  });

  it("names the extension behind a command", () => {
    expect(formatOf(buildHttpAccessLogs(mesh({ accessLogFormat: "%REQ_WITHOUT_QUERY(:PATH)%" })))).toContain(
      "envoy.formatter.req_without_query",
    );
    expect(formatOf(buildHttpAccessLogs(mesh({ accessLogFormat: "%METADATA(ROUTE:istio)%" })))).not.toContain(
      "formatters",
    );
  });

  it("logs to the service where the mesh asks for it, by the kind of traffic", () => {
    const both = mesh({ enableEnvoyAccessLogService: true });
    const nameOf = ({ typed_config: config }: AccessLog): unknown => {
      const { message } = unpackAny(config ?? { type_url: "", value: new Uint8Array() });
      return (message["common_config"] as { readonly log_name?: string } | undefined)?.log_name ?? message["path"];
    };
    expect(buildHttpAccessLogs(both).map(nameOf)).toEqual(["/dev/stdout", "http_envoy_accesslog"]);
    expect(buildTcpAccessLogs(both).map(nameOf)).toEqual(["/dev/stdout", "tcp_envoy_accesslog"]);
    expect(buildListenerAccessLogs(both).map(nameOf)).toEqual(["/dev/stdout", "listener_envoy_accesslog"]);
    expect(buildTcpAccessLogs(mesh({ ...both, accessLogFile: "" })).map(nameOf)).toEqual(["tcp_envoy_accesslog"]);
  });

  it("logs of a listener only connections that no chain takes", () => {
    expect(buildListenerAccessLogs(mesh({}))[0]?.filter).toEqual({ response_flag_filter: { flags: ["NR"] } });
    expect(buildListenerAccessLogs(mesh({ disableEnvoyListenerLog: true }))).toEqual([]);
  });
});
