/** The secret discovery service for the proxy beside the agent, on a Unix socket (Istio: security/pkg/nodeagent/sds). */
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import type { WorkloadSecrets } from "../identity/workload-secrets.ts";

export interface SdsServerOptions {
  /** Where the workload's secrets are served (workload-spiffe-uds/socket). */
  readonly socketPath: string;
  /** Where files alone are served when somebody else serves `socketPath` (credential-uds/files-socket). */
  readonly filesSocketPath: string;
  /** Undefined where somebody else (SPIRE) has them; see isSocketServed. */
  readonly secrets: WorkloadSecrets | undefined;
  /** Revocations that peers' certificates are held against, a live file (crl/ca-crl.pem). */
  readonly revocationsFile?: string;
  /** What "file-root:system" stands for; the usual places of Linux where not given. */
  readonly systemRootsFile?: string;
  /** Rights of the socket; 0o600 where not given. */
  readonly socketMode?: number;
  /** Changed files are read when they have been left alone for so long (FILE_DEBOUNCE_DURATION, 100 ms). */
  readonly fileDebounceMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface SdsServer {
  /** Where it listens: `socketPath`, or `filesSocketPath` where somebody else serves the first. */
  readonly socketPath: string;
  /** True where another server serves the workload's secrets, and this one serves files alone. */
  readonly isFilesOnly: boolean;
  stop(): Promise<void>;
}

/** Rejects where the socket cannot be made. */
export declare function startSdsServer(options: SdsServerOptions): Promise<SdsServer>;
