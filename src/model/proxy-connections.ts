/** What the xDS side tells others of the proxies that are connected. */
import type { Proxy as MeshProxy } from "./proxy.ts";
import type { VerifiedIdentity } from "./verified-identity.ts";

/** One stream of a proxy. */
export interface ConnectedProxy {
  /** Differs between any two streams of this process. */
  readonly id: string;
  readonly proxy: MeshProxy;
  /** What it has proven; undefined in plain text, and where nobody asks. */
  readonly identity: VerifiedIdentity | undefined;
  /** Milliseconds since the epoch. */
  readonly connectedAtMs: number;
  /** Ends the stream, because the proxy may not be what it says. */
  refuse(reason: string): void;
}

/** What the agent beside a proxy says of its application. */
export interface HealthReport {
  readonly isHealthy: boolean;
  /** What was wrong; "" where nothing was. */
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** Who wants to know of them. None of these throws. */
export interface ProxyConnections {
  /** A text says why the proxy may not connect; `disconnect` is called for all others in the end. */
  connect(connection: ConnectedProxy): string | undefined;
  disconnect(connection: ConnectedProxy): void;
  reportHealth(connection: ConnectedProxy, report: HealthReport): void;
}
