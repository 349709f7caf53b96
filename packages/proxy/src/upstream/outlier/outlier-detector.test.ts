import { duration, u32 } from "@meltemi/protos";
import type { OutlierDetection } from "@meltemi/protos/envoy/config/cluster/v3";
import { afterEach, expect, test } from "vitest";
import { TestClock } from "../../../../../test/support/test-clock.ts";
import { HeaderList } from "../../http/header-list.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { hostOf, quietRuntime, seededRandom } from "../testing/balancer-rig.ts";
import { compileErrorMatcher, judgeByStatus } from "./error-matcher.ts";
import { compileOutlierConfig } from "./outlier-config.ts";
import { OutlierDetector } from "./outlier-detector.ts";
import { findBelowMean, findFailing } from "./success-rate.ts";

const open: OutlierDetector[] = [];
afterEach(() => {
  for (const detector of open.splice(0)) detector.close();
});

interface Rig {
  readonly detector: OutlierDetector;
  readonly hosts: readonly ClusterHost[];
  readonly clock: TestClock;
  readonly changes: ClusterHost[];
  stat(name: string): number | undefined;
  /** Answers of one host: `failures` of `total` with this status. */
  answer(host: ClusterHost | undefined, total: number, failures: number, status?: number): void;
}

function create(wire: OutlierDetection, count: number): Rig {
  const clock = new TestClock();
  const stats = createStatsRegistry();
  const changes: ClusterHost[] = [];
  const detector = new OutlierDetector({
    config: compileOutlierConfig(
      { interval: duration(1000), base_ejection_time: duration(1000), ...wire },
      quietRuntime,
    ),
    ...{ clock, stats },
    random: seededRandom(2),
    onChange: (host) => changes.push(host),
  });
  open.push(detector);
  const hosts = Array.from({ length: count }, (_, index) => hostOf({ port: 1 + index }));
  for (const host of hosts) detector.add(host);
  return {
    ...{ detector, hosts, clock, changes },
    stat: (name) =>
      stats.counters().get(`outlier_detection.${name}`) ?? stats.gauges().get(`outlier_detection.${name}`),
    answer(host, total, failures, status = 500) {
      if (host === undefined) throw new Error("there is no such host");
      for (let each = 0; each < total; each += 1) detector.reportStatus(host, each < failures ? status : 200);
    },
  };
}

const ejected = (hosts: readonly ClusterHost[]): readonly number[] =>
  hosts.flatMap((host) => (host.has("outlier") ? [host.port] : []));

test("failures in a row eject, others in between do not", () => {
  const { detector, hosts, changes } = create({ consecutive_5xx: u32(3), max_ejection_percent: u32(100) }, 2);
  const [host] = hosts;
  if (host === undefined) throw new Error("there is no host");
  for (const status of [500, 502, 200, 500, 503]) detector.reportStatus(host, status);
  expect(changes).toEqual([]);
  detector.reportStatus(host, 504);
  expect(changes).toEqual([host]);
});

test("gateway failures are counted on their own, where that is asked for", () => {
  const wire = {
    consecutive_gateway_failure: u32(2),
    enforcing_consecutive_gateway_failure: u32(100),
    max_ejection_percent: u32(100),
  };
  const { detector, hosts, stat } = create(wire, 1);
  const [host] = hosts;
  if (host === undefined) throw new Error("there is no host");
  for (const status of [502, 500, 503, 504]) detector.reportStatus(host, status);
  expect(ejected(hosts)).toEqual([1]);
  expect(stat("ejections_enforced_consecutive_gateway_failure")).toBe(1);
});

test("what is not enforced is detected only", () => {
  const { detector, hosts, stat } = create(
    { consecutive_5xx: u32(1), enforcing_consecutive_5xx: u32(0), max_ejection_percent: u32(100) },
    1,
  );
  for (const host of hosts) detector.reportStatus(host, 500);
  expect(ejected(hosts)).toEqual([]);
  expect(stat("ejections_detected_consecutive_5xx")).toBe(1);
});

test("a host that is worse than its peers by far is ejected at the end of the interval", () => {
  const { hosts, answer, clock, stat } = create(
    { consecutive_5xx: u32(0), success_rate_stdev_factor: u32(1000), max_ejection_percent: u32(50) },
    5,
  );
  for (const [index, host] of hosts.entries()) answer(host, 200, index === 0 ? 100 : 2, 500);
  expect(ejected(hosts)).toEqual([]);
  clock.advance(1000);
  expect(ejected(hosts)).toEqual([1]);
  expect(stat("ejections_enforced_success_rate")).toBe(1);
});

test("too few hosts or requests say nothing of success rates", () => {
  const few = create({ consecutive_5xx: u32(0), max_ejection_percent: u32(50) }, 4);
  for (const [index, host] of few.hosts.entries()) few.answer(host, 200, index === 0 ? 200 : 0);
  few.clock.advance(1000);
  expect(ejected(few.hosts)).toEqual([]);
  const quiet = create({ consecutive_5xx: u32(0), max_ejection_percent: u32(50) }, 6);
  for (const [index, host] of quiet.hosts.entries()) quiet.answer(host, 99, index === 0 ? 99 : 0);
  quiet.clock.advance(1000);
  expect(ejected(quiet.hosts)).toEqual([]);
});

test("a fixed part of failures ejects where that is enforced", () => {
  const wire = {
    consecutive_5xx: u32(0),
    enforcing_success_rate: u32(0),
    enforcing_failure_percentage: u32(100),
    failure_percentage_threshold: u32(50),
    max_ejection_percent: u32(100),
  };
  const { hosts, answer, clock } = create(wire, 5);
  for (const [index, host] of hosts.entries()) answer(host, 60, index < 2 ? 30 : 29);
  clock.advance(1000);
  expect(ejected(hosts)).toEqual([1, 2]);
});

test("the more often a host is ejected, the longer it is out", () => {
  const { detector, hosts, clock, stat } = create({ consecutive_5xx: u32(1), max_ejection_percent: u32(100) }, 1);
  const [host] = hosts;
  if (host === undefined) throw new Error("there is no host");
  const outFor = (): number => {
    detector.reportStatus(host, 500);
    let seconds = 0;
    while (host.has("outlier")) {
      clock.advance(1000);
      seconds += 1;
    }
    return seconds;
  };
  expect([outFor(), outFor(), outFor()]).toEqual([1, 2, 3]);
  clock.advance(10_000);
  expect(outFor()).toBe(1);
  expect(stat("ejections_active")).toBe(0);
});

test("an active check that succeeds brings a host back", () => {
  const { detector, hosts } = create({ consecutive_5xx: u32(1), max_ejection_percent: u32(100) }, 1);
  for (const host of hosts) {
    detector.reportStatus(host, 500);
    expect(host.health).toBe("unhealthy");
    detector.onCheckPassed(host);
    expect(host.health).toBe("healthy");
  }
});

test("a host that leaves is not counted any more", () => {
  const { detector, hosts, stat } = create({ consecutive_5xx: u32(1), max_ejection_percent: u32(100) }, 2);
  for (const host of hosts) detector.reportStatus(host, 500);
  expect(stat("ejections_active")).toBe(2);
  for (const host of hosts) detector.remove(host);
  expect(stat("ejections_active")).toBe(0);
});

test("the example of Envoy's sources: a mean of 90 and a deviation of 20 put the bound at 52", () => {
  const rated = [50, 100, 100, 100, 100].map((rate, host) => ({ host, rate, volume: 100 }));
  expect(findBelowMean(rated, 1.9)).toEqual([0]);
  expect(findBelowMean(rated, 2)).toEqual([]);
  expect(findFailing(rated, 50)).toEqual([0]);
  expect(findFailing(rated, 51)).toEqual([]);
});

test.each([
  [503, [], 503],
  [200, ["grpc-status", "14"], 503],
  [200, ["grpc-status", "0"], 200],
  [200, ["grpc-status", "99"], 500],
])("a response of %i with %j counts as %i", (status, headers, expected) => {
  expect(judgeByStatus(status, new HeaderList(headers))).toBe(expected);
});

test("errors as a cluster describes them", () => {
  const judge = compileErrorMatcher({
    and_match: {
      rules: [
        { not_match: { http_response_headers_match: { headers: [{ name: "x-fine", present_match: true }] } } },
        {
          or_match: {
            rules: [{ http_response_headers_match: { headers: [{ name: ":status", string_match: { prefix: "4" } }] } }],
          },
        },
      ],
    },
  });
  expect(judge(429, new HeaderList())).toBe(500);
  expect(judge(429, new HeaderList(["x-fine", "yes"]))).toBe(200);
  expect(judge(503, new HeaderList())).toBe(200);
  expect(() => compileErrorMatcher({ http_request_headers_match: {} })).toThrow("http_request_headers_match");
});
