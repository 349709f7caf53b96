/** Which responses count as errors for outlier detection, where a cluster says so itself (HttpProtocolOptions.outlier_detection). */
import type { MatchPredicate } from "@meltemi/protos/envoy/config/common/matcher/v3";
import { HeaderList } from "../../http/header-list.ts";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import { compileHeaderListMatcher } from "../../matchers/header-matcher.ts";

type MatchResponse = (headers: HeaderList) => boolean;

/** The status that outlier detection is told. */
export type JudgeResponse = (status: number, headers: HeaderList) => number;

const errorStatus = 500;

export function compileErrorMatcher(wire: MatchPredicate): JudgeResponse {
  const isError = compilePredicate(wire);
  return (status, headers) =>
    isError(new HeaderList([":status", String(status), ...headers.raw])) ? errorStatus : 200;
}

function compilePredicate(wire: MatchPredicate): MatchResponse {
  const { or_match: or, and_match: and, not_match: not, http_response_headers_match: headers } = wire;
  if (or) {
    const rules = compileAll("or_match.rules", or.rules, compilePredicate);
    return (response) => rules.some((rule) => rule(response));
  }
  if (and) {
    const rules = compileAll("and_match.rules", and.rules, compilePredicate);
    return (response) => rules.every((rule) => rule(response));
  }
  if (not) {
    const rule = within("not_match", () => compilePredicate(not));
    return (response) => !rule(response);
  }
  if (wire.any_match !== undefined) return () => wire.any_match === true;
  if (headers) {
    const tests = compileAll("http_response_headers_match.headers", headers.headers, compileHeaderListMatcher);
    return (response) => tests.every((test) => test(response));
  }
  const [name = "rule"] = Object.keys(wire);
  throw new ConfigError(name, "is not supported: only headers of responses are");
}

/** HTTP statuses in the places of gRPC's, by number (Envoy: Grpc::Utility::grpcToHttpStatus). */
const httpOfGrpc = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** What a response says of its host: the status of gRPC where it comes with the head. */
export function judgeByStatus(status: number, headers: HeaderList): number {
  const grpcStatus = headers.get("grpc-status");
  return grpcStatus === undefined ? status : (httpOfGrpc[Number(grpcStatus)] ?? errorStatus);
}
