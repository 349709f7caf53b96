import { describe, expect, it } from "vitest";
import { resolveProxyConfig } from "../config/proxy-config.ts";
import { type ArgumentsOptions, buildArguments, convertOverride } from "./arguments.ts";
import { parseHostAddress } from "./host-address.ts";

const describeConfig = (environment: string) =>
  resolveProxyConfig({ environment, annotations: {}, concurrency: 0, serviceCluster: "", cpuLimit: 2 });

const options: ArgumentsOptions = {
  bootstrap: "etc/istio/proxy/envoy-rev.json",
  config: describeConfig("{}"),
  isIpv6: false,
  logLevel: "warning",
  componentLogLevel: "misc:error",
  skipsDeprecatedLogs: false,
  dumpsCore: false,
  override: "",
};

describe("Envoy's command line", () => {
  it("is pilot-agent's", () => {
    expect(buildArguments(options).join(" ")).toBe(
      "-c etc/istio/proxy/envoy-rev.json --drain-time-s 45 --drain-strategy immediate --local-address-ip-version v4 " +
        "--file-flush-interval-msec 1000 --disable-hot-restart --allow-unknown-static-fields " +
        "-l warning --component-log-level misc:error --concurrency 2",
    );
  });

  it.each<[Partial<ArgumentsOptions>, string]>([
    [{ logLevel: "info,upstream:debug,misc:off" }, "-l info --component-log-level upstream:debug,misc:off"],
    [{ isIpv6: true }, "--local-address-ip-version v6"],
    [{ skipsDeprecatedLogs: true, dumpsCore: true }, "--skip-deprecated-logs --enable-core-dump"],
    [{ override: '{"a":1}' }, '--config-yaml {"a":1} --concurrency 2'],
    [
      { config: describeConfig("{drainDuration: 1m, fileFlushInterval: 2s, fileFlushMinSizeKb: 64}") },
      "--drain-time-s 60 --drain-strategy immediate --local-address-ip-version v4 --file-flush-interval-msec 2000 " +
        "--disable-hot-restart --allow-unknown-static-fields --file-flush-min-size-kb 64",
    ],
  ])("has %j", (given, expected) => {
    expect(buildArguments({ ...options, ...given }).join(" ")).toContain(expected);
  });
});

describe("the override", () => {
  it.each([
    ["admin: {address: $(HOST_IP)}", "10.0.0.1", '{"admin":{"address":"10.0.0.1"}}'],
    ['{"a": "$(HOST_IP):1"}', "fd00::1", '{"a":"[fd00::1]:1"}'],
    ['{"a": "[$(HOST_IP)]:1"}', "fd00::1", '{"a":"[fd00::1]:1"}'],
  ])("%s on node %s", (text, hostIp, expected) => {
    expect(convertOverride(text, hostIp)).toBe(expected);
  });

  it("is refused where it is neither YAML nor JSON", () => {
    expect(() => convertOverride("{", "")).toThrow("neither YAML nor JSON");
  });
});

describe("addresses of collectors", () => {
  it.each([
    ["zipkin:9411", { host: "zipkin", port: 9411 }],
    ["[fd00::1]:9411", { host: "fd00::1", port: 9411 }],
    ["$(HOST_IP):8126", { host: "10.0.0.1", port: 8126 }],
  ])("%s", (text, expected) => {
    expect(parseHostAddress("tracing", text, "10.0.0.1")).toEqual(expected);
  });

  it.each(["zipkin", "zipkin:", "zipkin:0", "zipkin:70000", "fd00::1:9411", ":1"])("%s is none", (text) => {
    expect(() => parseHostAddress("tracing", text, "")).toThrow("must be host:port");
  });
});
