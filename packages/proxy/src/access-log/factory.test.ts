import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packAny, struct } from "@meltemi/protos";
import type { AccessLogFilter } from "@meltemi/protos/envoy/config/accesslog/v3";
import type { FileAccessLog } from "@meltemi/protos/envoy/extensions/access_loggers/file/v3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sampleEntry } from "../../test/sample-entry.ts";
import type { Runtime } from "../config/runtime.ts";
import type { Clock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { createAccessLogFactory } from "./factory.ts";
import type { AccessLogFactory, LogEntry } from "./types.ts";

const runtime: Runtime = {
  number: (_, otherwise) => otherwise,
  flag: (_, otherwise) => otherwise,
  isChosen: (fraction, dice) => dice * 100 < (fraction?.default_value?.numerator ?? 0),
  entries: () => new Map(),
};

let folder = "";
let factory: AccessLogFactory;
let ticks: (() => void)[] = [];
const stats = createStatsRegistry();
const clock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  after: () => ({ close: () => undefined }),
  every: (_, run) => {
    ticks.push(run);
    return {
      close: () => {
        ticks = ticks.filter((tick) => tick !== run);
      },
    };
  },
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "proxy-access-log-"));
  factory = createAccessLogFactory({
    clock,
    log: silentLog,
    stats,
    runtime,
    random: () => 0.5,
    clusters: { find: () => undefined, list: () => [] },
  });
});

afterEach(async () => {
  await factory.close();
  expect(ticks).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
});

function logTo(file: FileAccessLog, filter?: AccessLogFilter) {
  const config: FileAccessLog = { path: join(folder, "log"), ...file };
  return { typed_config: packAny("envoy.extensions.access_loggers.file.v3.FileAccessLog", config), filter };
}

function read(name = "log"): string {
  return readFileSync(join(folder, name), "utf8");
}

describe("createAccessLogFactory", () => {
  it("writes Envoy's default line", () => {
    const logger = factory.compile([logTo({})]);
    logger.log(sampleEntry());
    logger.close();
    expect(read()).toBe(
      '[2026-11-21T17:29:35.260Z] "GET /foo?q=a%20b HTTP/1.1" 200 - 0 9 27 26 "-" "curl/7" ' +
        '"e98179b5-9ae3-43a2-b0f4-6748311ea615" "a.example:80" "127.0.0.1:19903"\n',
    );
  });

  it.each<[FileAccessLog, string]>([
    [{ format: "%PROTOCOL%\n" }, "HTTP/1.1\n"],
    [{ json_format: struct({ code: "%RESPONSE_CODE%" }) }, '{"code":200}\n'],
    [{ typed_json_format: struct({ b: "%DURATION%", a: "x" }) }, '{"a":"x","b":27}\n'],
    [{ log_format: { text_format_source: { inline_string: "%BYTES_SENT%;" } } }, "9;"],
  ])("writes %j", (file, line) => {
    const logger = factory.compile([logTo(file)]);
    logger.log(sampleEntry());
    logger.close();
    expect(read()).toBe(line);
  });

  it("writes what waits when its time has come, when it is much, and at the end", async () => {
    const logger = factory.compile([logTo({ format: `${"x".repeat(1023)}\n` }), logTo({ format: "y" })]);
    logger.log(sampleEntry());
    expect(read()).toBe("");
    for (const tick of ticks) tick();
    await expect.poll(() => read().length).toBe(1025);
    for (let index = 0; index < 64; index++) logger.log(sampleEntry());
    await expect.poll(() => read().length).toBeGreaterThan(64 * 1024);
    logger.close();
    expect(read().length).toBe(65 * 1025);
    expect(stats.counters().get("filesystem.write_failed")).toBe(0);
    expect(stats.gauges().get("filesystem.write_total_buffered")).toBe(0);
  });

  it("opens a file that was moved away anew", () => {
    const logger = factory.compile([logTo({ format: "%BYTES_SENT%" })]);
    logger.log(sampleEntry());
    renameSync(join(folder, "log"), join(folder, "old"));
    factory.reopen();
    logger.log(sampleEntry());
    logger.log(sampleEntry());
    logger.close();
    expect([read("old"), read()]).toEqual(["9", "99"]);
  });

  it.each<[FileAccessLog, string]>([
    [{ format: "%NOPE%" }, "[0].typed_config.format: the operator %NOPE% is not supported"],
    [{ path: "" }, "[0].typed_config.path: is required"],
    [{ path: "/nowhere/at/all" }, "[0].typed_config.path: cannot be opened"],
  ])("refuses %j", (file, problem) => {
    expect(() => factory.compile([logTo(file)])).toThrow(problem);
  });

  it("refuses loggers and filters that it does not have", () => {
    const typed_config = packAny("envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig", {});
    expect(() => factory.compile([{ typed_config }])).toThrow("FluentdAccessLogConfig is not supported");
    expect(() => factory.compile([logTo({}, { extension_filter: { name: "cel" } })])).toThrow(
      "[0].filter.extension_filter: the filter cel is not supported",
    );
  });
});

function change(edit: (entry: LogEntry) => void): LogEntry {
  const entry = sampleEntry();
  edit(entry);
  return entry;
}

describe("filters of access logs", () => {
  const failed = change(({ info }) => {
    info.responseCode = 503;
    info.responseFlags.add("UF");
  });
  const health = change(({ info }) => {
    info.isHealthCheck = true;
  });
  const traced = change(({ request }) => request?.headers.set("x-request-id", "e98179b5-9ae3-93a2-b0f4-6748311ea615"));
  const status = (op: "EQ" | "GE" | "LE", value: number): AccessLogFilter => ({
    status_code_filter: { comparison: { op, value: { default_value: value, runtime_key: "k" } } },
  });

  it.each<[AccessLogFilter, LogEntry, boolean]>([
    [status("GE", 500), failed, true],
    [status("GE", 500), sampleEntry(), false],
    [status("EQ", 200), sampleEntry(), true],
    [status("LE", 200), failed, false],
    [{ duration_filter: { comparison: { op: "GE", value: { default_value: 27 } } } }, sampleEntry(), true],
    [{ duration_filter: { comparison: { op: "GE", value: { default_value: 28 } } } }, sampleEntry(), false],
    [{ not_health_check_filter: {} }, sampleEntry(), true],
    [{ not_health_check_filter: {} }, health, false],
    [{ traceable_filter: {} }, traced, true],
    [{ traceable_filter: {} }, sampleEntry(), false],
    [{ runtime_filter: { percent_sampled: { numerator: 51 }, use_independent_randomness: true } }, sampleEntry(), true],
    [
      { runtime_filter: { percent_sampled: { numerator: 50 }, use_independent_randomness: true } },
      sampleEntry(),
      false,
    ],
    [{ and_filter: { filters: [status("GE", 200), status("LE", 300)] } }, failed, false],
    [{ or_filter: { filters: [status("EQ", 200), status("EQ", 503)] } }, failed, true],
    [{ header_filter: { header: { name: "x-a", string_match: { exact: "zzzzzz" } } } }, sampleEntry(), true],
    [{ header_filter: { header: { name: ":method", string_match: { exact: "POST" } } } }, sampleEntry(), false],
    [{ response_flag_filter: {} }, failed, true],
    [{ response_flag_filter: { flags: ["UO"] } }, failed, false],
    [{ grpc_status_filter: { statuses: ["UNAVAILABLE"] } }, failed, true],
    [{ grpc_status_filter: { statuses: ["CANCELED"], exclude: true } }, failed, true],
    [
      {
        metadata_filter: {
          matcher: { filter: "ns", path: [{ key: "user" }], value: { string_match: { exact: "joe" } } },
        },
      },
      failed,
      false,
    ],
    [
      {
        metadata_filter: {
          matcher: { filter: "ns", path: [{ key: "user" }], value: { string_match: { exact: "joe" } } },
        },
      },
      sampleEntry(),
      true,
    ],
    [
      {
        metadata_filter: {
          matcher: { filter: "no", path: [{ key: "user" }], value: { string_match: { exact: "joe" } } },
          match_if_key_not_found: {},
        },
      },
      sampleEntry(),
      false,
    ],
    [{ log_type_filter: { types: ["DownstreamEnd"] } }, sampleEntry(), true],
    [{ log_type_filter: { types: ["DownstreamEnd"], exclude: true } }, sampleEntry(), false],
  ])("%j", (filter, entry, isLogged) => {
    if (entry === failed) entry.info.dynamicMetadata.set("ns", { user: "ann" });
    const logger = factory.compile([logTo({ format: "x" }, filter)]);
    logger.log(entry);
    logger.close();
    expect(read()).toBe(isLogged ? "x" : "");
  });
});
