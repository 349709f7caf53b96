import { availableParallelism } from "node:os";
import type { Flags } from "../config/flags.ts";
import type { GrpcLimits } from "../xds/grpc-server.ts";
import { defaultLimits, type XdsLimits } from "../xds/limits.ts";

/**
 * The limits of the xDS side as the flags state them. 0 leaves numbers to the number of processors, and stands for no
 * time limit of sending.
 */
export function deriveXdsLimits(flags: Flags): XdsLimits {
  const defaults = defaultLimits(availableParallelism());
  return {
    ...defaults,
    debounceQuietMs: flags.debounceAfter,
    debounceMaxMs: flags.debounceMax,
    maxWriting: flags.pushThrottle === 0 ? defaults.maxWriting : flags.pushThrottle,
    maxNewStreamsPerSecond:
      flags.maxRequestsPerSecond === 0 ? defaults.maxNewStreamsPerSecond : flags.maxRequestsPerSecond,
    sendTimeoutMs: flags.sendTimeout === 0 ? Number.POSITIVE_INFINITY : flags.sendTimeout,
    drainMs: flags.shutdownDuration,
  };
}

/** The limits of connections as the flags state them. */
export function deriveGrpcLimits(flags: Flags): GrpcLimits {
  const age = flags.keepaliveMaxServerConnectionAge;
  return {
    maxReceiveBytes: flags.maxReceiveMessageSize,
    maxConcurrentStreams: flags.maxStreams,
    keepaliveIntervalMs: flags.keepaliveInterval,
    keepaliveTimeoutMs: flags.keepaliveTimeout,
    maxConnectionAgeMs: Number.isFinite(age) ? age : undefined,
  };
}
