/**
 * Envoy's life under the agent, by the ways in which it can end (pkg/envoy/agent.go):
 * 1. Envoy ends: the agent ends too, with its code, and Kubernetes starts the container again.
 * 2. terminate() (SIGTERM): listeners drain for the configured time, or until no connection is left; then Envoy ends.
 * 3. drain() (POST /drain, the preStop hook of native sidecars): listeners drain and stay open; terminate() after that
 *    ends Envoy at once, because the application is gone by then.
 * 4. skipDrain() (POST /quitquitquit of a job that is done), then terminate(): Envoy ends at once.
 */
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { pause } from "../../../../src/lib/pause.ts";
import type { AdminClient } from "./admin.ts";
import type { EnvoyEnd, EnvoyProcess } from "./envoy-process.ts";

export interface SupervisorOptions {
  readonly envoy: EnvoyProcess;
  readonly admin: AdminClient;
  /** Sidecars drain what comes in; what goes out is the application's, which may still need it. */
  readonly isSidecar: boolean;
  readonly terminationDrainMs: number;
  readonly minimumDrainMs: number;
  readonly exitsOnZeroConnections: boolean;
  /** Envoy's own ports, whose connections do not count: the kubelet and Prometheus keep theirs. */
  readonly ownPorts: readonly number[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface Supervisor {
  /** True from the moment at which a drain or the end began. */
  isEnding(): boolean;
  drain(): Promise<void>;
  /** Lets terminate() end Envoy at once, also where it is waiting already. */
  skipDrain(): void;
  /** Resolves when Envoy is gone. */
  terminate(): Promise<EnvoyEnd>;
  /** Resolves when Envoy is gone, for whatever reason. */
  readonly ended: Promise<EnvoyEnd>;
}

const checkPeriodMs = 1_000;
const maxFailedChecks = 5;

export function superviseEnvoy(options: SupervisorOptions): Supervisor {
  const { envoy, admin, isSidecar, log } = options;
  let isEnding = false;
  let skipsDrain = false;
  const gone = new AbortController();
  const skipped = new AbortController();
  const ended = envoy.ended.finally(() => gone.abort());

  const drainListeners = async (keepsListening: boolean): Promise<void> => {
    isEnding = true;
    try {
      await admin.drain({ isInboundOnly: isSidecar, keepsListening });
    } catch (error: unknown) {
      log.warn("Envoy could not be told to drain", { error: describe(error) });
    }
  };

  return {
    ended,
    isEnding: () => isEnding,
    async drain() {
      log.info("draining Envoy; it goes on until the end is asked for");
      skipsDrain = true;
      await drainListeners(true);
    },
    skipDrain() {
      isEnding = true;
      skipsDrain = true;
      skipped.abort();
    },
    async terminate() {
      isEnding = true;
      if (skipsDrain) {
        log.info("ending Envoy at once: it has been drained, or need not be");
      } else {
        await drainListeners(false);
        await awaitDrain(options, AbortSignal.any([gone.signal, skipped.signal]));
      }
      envoy.kill();
      return ended;
    },
  };
}

async function awaitDrain(options: SupervisorOptions, gone: AbortSignal): Promise<void> {
  const { clock, log, terminationDrainMs, minimumDrainMs } = options;
  if (!options.exitsOnZeroConnections) {
    log.info("draining Envoy", { forMs: terminationDrainMs });
    await pause(clock, terminationDrainMs, gone);
    return;
  }
  log.info("draining Envoy until no connection is left", { atLeastMs: minimumDrainMs });
  await pause(clock, minimumDrainMs, gone);
  await awaitNoConnections(options, gone);
}

/** Kubernetes' own limit (terminationGracePeriodSeconds) ends this wait where connections do not. */
async function awaitNoConnections(options: SupervisorOptions, gone: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let failures = 0;
  while (!gone.aborted && failures < maxFailedChecks) {
    await pause(clock, checkPeriodMs, gone);
    try {
      const active = await countConnections(options);
      if (active === undefined || active === 0) return;
      log.info("connections are still open", { connections: active });
      failures = 0;
    } catch (error: unknown) {
      failures += 1;
      log.warn("open connections could not be counted", { error: describe(error), attempt: failures });
    }
  }
}

/** Undefined where Envoy has no such statistics: nobody has connected yet. */
async function countConnections({ admin, ownPorts }: SupervisorOptions): Promise<number | undefined> {
  const stats = await admin.readStats("downstream_cx_active$");
  if (stats.size === 0) return undefined;
  const counted = [...stats].filter(([name]) => isApplicationListener(name, ownPorts));
  return counted.reduce((sum, [, value]) => sum + value, 0);
}

/** Listeners alone count connections once; those inside of Envoy, and the agent's own, are nobody's. */
function isApplicationListener(name: string, ownPorts: readonly number[]): boolean {
  if (!name.startsWith("listener.") || name.includes("worker_")) return false;
  if (name.startsWith("listener.admin.") || name.startsWith("listener.envoy_internal_")) return false;
  return !ownPorts.some((port) => name.endsWith(`_${port}.downstream_cx_active`));
}

const describe = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
