/** Active checks by HTTP: a request whose status says how the host is. */

import type { HeaderValueOption, HealthCheck_HttpHealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import type { Int64Range } from "@meltemi/protos/envoy/type/v3";
import { collect } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { ConfigError, compileAll, need, within } from "../../lib/config-error.ts";
import type { Counter } from "../../lib/stats.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import { compileStringMatcher } from "../../matchers/string-matcher.ts";
import type { UpstreamRequest, UpstreamResponse } from "../types.ts";
import type { CheckResult, CheckTarget, CompiledCheck } from "./check.ts";

/** Bytes of an answer that are read before the connection is given up. */
const answerLimit = 1024 * 1024;

export interface HttpCheckOptions {
  readonly clusterName: string;
  readonly scheme: "http" | "https";
  readonly verifyCluster: Counter;
}

/** Throws ConfigError. */
export function compileHttpCheck(wire: HealthCheck_HttpHealthCheck, options: HttpCheckOptions): CompiledCheck {
  const path = need("path", wire.path || undefined);
  if ((wire.receive ?? []).length > 0) throw new ConfigError("receive", "is not supported");
  if (wire.send !== undefined) throw new ConfigError("send", "is not supported");
  if (wire.codec_client_type === "HTTP3") throw new ConfigError("codec_client_type", "HTTP/3 is not supported");
  const method = wire.method === undefined || wire.method === "METHOD_UNSPECIFIED" ? "GET" : wire.method;
  if (method === "CONNECT")
    throw new ConfigError("method", "CONNECT method is disallowed because it is not appropriate");
  const judge = compileStatuses(wire);
  const serviceName = wire.service_name_matcher;
  const isService = serviceName && within("service_name_matcher", () => compileStringMatcher(serviceName));
  const addHeaders = compileAddedHeaders("request_headers_to_add", wire.request_headers_to_add);
  const removed = (wire.request_headers_to_remove ?? []).map((name) => name.toLowerCase());
  const protocol = wire.codec_client_type === "HTTP2" ? "http2" : "http1";
  return {
    protocol,
    async run(target) {
      const headers = new HeaderList(["user-agent", "Envoy/HC"]);
      addHeaders(headers);
      for (const name of removed) headers.remove(name);
      const authority = target.hostname || wire.host || options.clusterName;
      const response = await ask(target, {
        ...{ method, path, headers, authority, scheme: options.scheme },
        ...{ body: undefined, upgrade: undefined },
        downstreamProtocol: protocol === "http2" ? "HTTP/2" : "HTTP/1.1",
      });
      if (isService !== undefined) {
        options.verifyCluster.inc();
        if (!isService(response.headers.get("x-envoy-upstream-healthchecked-cluster") ?? "")) {
          return { kind: "failed", isRetriable: false };
        }
      }
      return judge(response);
    },
  };
}

/** Sends a request and reads all of the answer, so that the connection may be used again. */
async function ask(target: CheckTarget, request: UpstreamRequest): Promise<UpstreamResponse> {
  const { pools, host, signal } = target;
  const pending = pools.send(host, request, "DEFAULT");
  const cancel = (): void => pending.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const response = await pending.response;
    if (response.body !== undefined) await collect(response.body, answerLimit);
    return response;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function compileStatuses(wire: HealthCheck_HttpHealthCheck): (response: UpstreamResponse) => CheckResult {
  const expected = compileRanges("expected_statuses", wire.expected_statuses);
  const retriable = compileRanges("retriable_statuses", wire.retriable_statuses);
  const isExpected = expected.length === 0 ? (status: number) => status === 200 : isIn(expected);
  const isRetriable = isIn(retriable);
  return ({ status, headers }) => {
    if (isExpected(status)) return { kind: "passed", isDegraded: headers.has("x-envoy-degraded") };
    return { kind: "failed", isRetriable: isRetriable(status) };
  };
}

type Range = readonly [start: number, end: number];

function compileRanges(path: string, wire: readonly Int64Range[] | undefined): readonly Range[] {
  return compileAll(path, wire, ({ start = 0, end = 0 }): Range => {
    const range: Range = [Number(start), Number(end)];
    if (range[0] < 100 || range[1] > 600 || range[0] >= range[1]) {
      throw new ConfigError(
        "",
        `Invalid http status range: expecting start < end within [100, 600), but found ${range}`,
      );
    }
    return range;
  });
}

function isIn(ranges: readonly Range[]): (status: number) => boolean {
  return (status) => ranges.some(([start, end]) => status >= start && status < end);
}

/** Adds headers as they are; formats in their values are refused. */
export function compileAddedHeaders(
  path: string,
  wire: readonly HeaderValueOption[] | undefined,
): (headers: HeaderList) => void {
  const added = compileAll(path, wire, ({ header, append_action: action, append }) => {
    const { key = "", value = "" } = need("header", header);
    if (value.includes("%")) throw new ConfigError("header.value", "formats are not supported in health checks");
    const overwrites = action === "OVERWRITE_IF_EXISTS_OR_ADD" || !wrappedBool(append, true);
    return { name: key.toLowerCase(), value, overwrites };
  });
  return (headers) => {
    for (const { name, value, overwrites } of added) {
      if (overwrites) headers.set(name, value);
      else headers.append(name, value);
    }
  };
}
