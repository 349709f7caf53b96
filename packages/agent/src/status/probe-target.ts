/** Where the agent probes the application, and from which address. */
import { connect, isIPv6, type Socket } from "node:net";

export interface ProbeTarget {
  /** The pod's address, as the kubelet would use, or localhost. */
  readonly host: string;
  /** 127.0.0.6 or ::6: connections from there are not redirected into Envoy (rows P52 and N of Istio's rules). */
  readonly localAddress: string;
}

/** The target for a pod with the address; localhost where the mesh wants it so, or there is no address. */
export function findProbeTarget(instanceIp: string, isLocalhost: boolean): ProbeTarget {
  const localAddress = isIPv6(instanceIp) ? "::6" : "127.0.0.6";
  return { host: isLocalhost || instanceIp === "" ? "localhost" : instanceIp, localAddress };
}

export function connectTarget({ host, localAddress }: ProbeTarget, port: number): Socket {
  const family = isIPv6(localAddress) ? 6 : 4;
  return connect({ host, port, localAddress, family });
}

/** How a probe went: what the kubelet is answered with. */
export interface ProbeOutcome {
  readonly status: number;
  readonly body?: Buffer;
  /** For the log. */
  readonly problem?: string;
}

export const failed = (problem: string): ProbeOutcome => ({ status: 500, problem });
