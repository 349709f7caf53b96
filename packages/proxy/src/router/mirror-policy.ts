/** To which clusters copies of requests go. */
import type { RouteAction_RequestMirrorPolicy } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError } from "../lib/config-error.ts";
import { readRequestHeader } from "../matchers/header-matcher.ts";
import type { RouteEnv } from "./types.ts";

export interface MirrorPolicy {
  /** The cluster for a request; undefined where this one is not copied. Draws at each call. */
  choose(request: HttpRequest): string | undefined;
  readonly appendsShadow: boolean;
}

/** Throws ConfigError. `trace_sampled` says something about the copy's span, of which there is none. */
export function compileMirrorPolicy(wire: RouteAction_RequestMirrorPolicy, env: RouteEnv): MirrorPolicy {
  const { cluster = "", cluster_header: header = "", runtime_fraction: fraction } = wire;
  if ((cluster === "") === (header === "")) {
    throw new ConfigError("", "exactly one of cluster and cluster_header is required");
  }
  const read = readRequestHeader(header.toLowerCase());
  return {
    appendsShadow: wire.disable_shadow_host_suffix_append !== true,
    choose(request) {
      if (fraction !== undefined && !env.runtime.isChosen(fraction, env.random())) return undefined;
      return cluster === "" ? read(request) || undefined : cluster;
    },
  };
}
