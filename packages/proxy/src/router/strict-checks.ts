/** Headers of clients that are refused where they are malformed, if the router is told so. */
import { ConfigError, compileAll } from "../lib/config-error.ts";
import { parseConditions } from "./retry-policy.ts";

export interface StrictCheck {
  readonly name: string;
  isValid(value: string): boolean;
}

const isNumber = (value: string): boolean => /^\d+$/.test(value);
const isConditionList = (value: string): boolean => parseConditions(value).size === new Set(value.split(",")).size;

const checks: Readonly<Record<string, (value: string) => boolean>> = {
  "x-envoy-upstream-rq-timeout-ms": isNumber,
  "x-envoy-upstream-rq-per-try-timeout-ms": isNumber,
  "x-envoy-max-retries": isNumber,
  "x-envoy-retry-on": isConditionList,
  "x-envoy-retry-grpc-on": isConditionList,
};

/** Throws ConfigError for headers that have no check. */
export function compileStrictChecks(names: readonly string[] | undefined): readonly StrictCheck[] {
  return compileAll("strict_check_headers", names, (written) => {
    const name = written.toLowerCase();
    const isValid = checks[name];
    if (isValid === undefined) throw new ConfigError("", `"${written}" cannot be checked`);
    return { name, isValid };
  });
}
